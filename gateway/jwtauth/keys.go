package jwtauth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

const (
	maxKeys    = 64      // keys of an Authenticator
	maxKeyFile = 1 << 20 // bytes
	minSecret  = 32      // bytes (RFC 7518 section 3.2, for HS256)
	minRSA     = 2048    // bits (RFC 7518 section 3.3)
)

// key is one key that tokens may be signed with.
type key struct {
	id     string // its kid; empty: it fits any
	alg    string // the only algorithm that it is for; empty: those of its type
	public any    // []byte of an HMAC, *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey
}

// fits reports whether the type of a key is that of a signing method. Since a method never gets a
// key of another type, a public key cannot be used as the secret of an HMAC.
func (k *key) fits(m jwt.SigningMethod) bool {
	if k.alg != "" && k.alg != m.Alg() {
		return false
	}
	switch m := m.(type) {
	case *jwt.SigningMethodHMAC:
		secret, ok := k.public.([]byte)
		return ok && len(secret) >= m.Hash.Size()
	case *jwt.SigningMethodRSA, *jwt.SigningMethodRSAPSS:
		_, ok := k.public.(*rsa.PublicKey)
		return ok
	case *jwt.SigningMethodECDSA:
		public, ok := k.public.(*ecdsa.PublicKey)
		return ok && public.Curve.Params().BitSize == m.CurveBits
	case *jwt.SigningMethodEd25519:
		_, ok := k.public.(ed25519.PublicKey)
		return ok
	}
	return false
}

// load reads the keys of all files of a configuration.
func (c *Config) load() (keys []key, err error) {
	for _, file := range []struct {
		field, path string
		read        func([]byte) ([]key, error)
	}{
		{"KeyFile", c.KeyFile, readPEM}, {"SecretFile", c.SecretFile, readSecret}, {"JWKSFile", c.JWKSFile, readJWKS},
	} {
		if file.path == "" {
			continue
		}
		b, err := readFile(file.path)
		var some []key
		if err == nil {
			some, err = file.read(b)
		}
		if err != nil {
			return nil, invalid(file.field, "%s: %w", file.path, err)
		}
		keys = append(keys, some...)
	}
	if len(keys) > maxKeys {
		return nil, invalid("JWKSFile", "%d keys: must be at most %d", len(keys), maxKeys)
	}
	return keys, nil
}

// readFile reads a file or a pipe.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, errors.Unwrap(err) // the caller adds the path
	}
	defer f.Close() //nolint:errcheck // it is only read
	b, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	switch {
	case err != nil:
		return nil, errors.Unwrap(err)
	case len(b) > maxKeyFile:
		return nil, fmt.Errorf("more than %d bytes", maxKeyFile)
	case len(bytes.TrimSpace(b)) == 0:
		return nil, errors.New("is empty")
	}
	return b, nil
}

// readSecret reads the secret of an HMAC. White space around it is not part of it.
func readSecret(b []byte) ([]key, error) {
	if block, _ := pem.Decode(b); block != nil {
		return nil, fmt.Errorf("has a %s in PEM form: must be a secret", block.Type)
	}
	if b = bytes.TrimSpace(b); len(b) < minSecret {
		return nil, fmt.Errorf("%d bytes: must be at least %d", len(b), minSecret)
	}
	return []key{{public: b}}, nil
}

// readPEM reads public keys and certificates.
func readPEM(b []byte) (keys []key, err error) {
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		var public any
		switch block.Type {
		case "PUBLIC KEY":
			public, err = x509.ParsePKIXPublicKey(block.Bytes)
		case "RSA PUBLIC KEY":
			public, err = x509.ParsePKCS1PublicKey(block.Bytes)
		case "CERTIFICATE":
			var c *x509.Certificate
			if c, err = x509.ParseCertificate(block.Bytes); err == nil {
				public = c.PublicKey
			}
		default:
			err = errors.New("must be PUBLIC KEY, RSA PUBLIC KEY or CERTIFICATE")
		}
		if err == nil {
			err = checkPublic(public)
		}
		if err != nil {
			return nil, fmt.Errorf("%s in PEM form: %w", block.Type, err)
		}
		keys = append(keys, key{public: public})
	}
	if len(keys) == 0 {
		return nil, errors.New("has no key in PEM form")
	}
	return keys, nil
}

// readJWKS reads a JSON Web Key Set (RFC 7517 section 5), or a single key. Keys for encryption are
// left out.
func readJWKS(b []byte) (keys []key, err error) {
	var set jwkset.JWKSMarshal
	if err := json.Unmarshal(b, &set); err != nil {
		return nil, fmt.Errorf("is not a JSON Web Key Set: %w", err)
	}
	if set.Keys == nil {
		var one jwkset.JWKMarshal
		if json.Unmarshal(b, &one) != nil || one.KTY == "" {
			return nil, errors.New(`is not a JSON Web Key Set: it has no "keys"`)
		}
		set.Keys = []jwkset.JWKMarshal{one}
	}
	for i, m := range set.Keys {
		if m.USE == jwkset.UseEnc || m.X5U != "" {
			continue // for encryption, or a certificate elsewhere
		}
		k, err := readJWK(m)
		if err != nil {
			return nil, fmt.Errorf("key %d (kid %q): %w", i, m.KID, err)
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.New("has no key for signatures")
	}
	return keys, nil
}

func readJWK(m jwkset.JWKMarshal) (key, error) {
	validate := jwkset.JWKValidateOptions{SkipKeyOps: true, SkipUse: true}
	j, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{Private: true}, validate)
	if err != nil {
		return key{}, err
	}
	public := j.Key()
	if private, ok := public.(crypto.Signer); ok {
		public = private.Public()
	}
	if secret, ok := public.([]byte); ok && len(secret) < minSecret {
		return key{}, fmt.Errorf("%d bytes: must be at least %d", len(secret), minSecret)
	} else if !ok {
		if err := checkPublic(public); err != nil {
			return key{}, err
		}
	}
	k := key{id: m.KID, alg: string(m.ALG), public: public}
	if k.alg != "" && !slices.Contains(algorithms, k.alg) {
		return key{}, fmt.Errorf("alg %q is not supported", k.alg)
	}
	return k, nil
}

// checkPublic refuses types of keys that no algorithm uses, and weak ones.
func checkPublic(public any) error {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < minRSA {
			return fmt.Errorf("RSA key of %d bits: must have at least %d", n, minRSA)
		}
	case *ecdsa.PublicKey:
		if n := k.Curve.Params().BitSize; n < 256 {
			return fmt.Errorf("key on a curve of %d bits: must have at least 256", n)
		}
	case ed25519.PublicKey:
	default:
		return fmt.Errorf("a key of type %T is not supported", public)
	}
	return nil
}
