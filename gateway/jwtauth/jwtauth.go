// Package jwtauth identifies the clients of a gateway's WebSockets by JSON Web Tokens (RFC 7519).
//
// An Authenticator checks the signature of a client's token and its claims, and makes of it the
// Identity with which the client opens. It reads keys from files, again when they change, and asks
// no other service. Its methods are the hooks of a gateway.ListenerConfig:
//
//	auth, err := jwtauth.New(jwtauth.Config{JWKSFile: "jwks.json", Issuer: "https://id.example"})
//	lis := gateway.ListenerConfig{URL: "ws://:7272"}
//	auth.Protect(&lis)
//	go auth.Watch(ctx)
package jwtauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/valid"
)

// algorithms are all that are supported. The algorithm none is not.
var algorithms = []string{
	"HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
}

// Config configures an Authenticator. At least one file is required. A number of 0 means the
// default. A negative number is refused, except for Leeway.
type Config struct {
	// KeyFile has public keys or certificates in PEM form: RSA of at least 2,048 bits, ECDSA on
	// P-256, P-384 or P-521, or Ed25519.
	KeyFile string
	// SecretFile has the secret of HS256, HS384 and HS512, as it is. White space around it is not
	// part of it. It has at least 32 bytes, for HS384 and HS512 at least 48 and 64.
	SecretFile string
	// JWKSFile has a JSON Web Key Set (RFC 7517) of public keys or secrets, at most 64.
	JWKSFile string
	// Algorithms are those that are accepted: HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384,
	// PS512, ES256, ES384, ES512, EdDSA. Defaults to all. A key is used only with the algorithms of
	// its type, or with the one that its key set names.
	Algorithms []string
	// Issuer is what the claim iss must be. Empty means anything.
	Issuer string
	// Audiences are the values of which the claim aud must have one. Empty means anything.
	Audiences []string
	// Leeway is by how much clocks may differ when exp and nbf are checked. Defaults to 30 s;
	// negative means none.
	Leeway time.Duration
	// UIDClaim is the claim that is the client's uid: a string, or a whole number. It must be there.
	// Defaults to sub.
	UIDClaim string
	// Attributes are the claims that become attributes of the client, by the attribute's key. A
	// string is taken as it is, any other value as JSON. A claim that is missing gives no attribute.
	Attributes map[string]string
	// Sources are where a token is looked for, in this order: header (Authorization: Bearer),
	// query:NAME (a query parameter, which is masked for workers and in logs), cookie:NAME, and
	// subprotocol:NAME (the subprotocol that the client offers after NAME). The first that is there
	// counts. Defaults to header, query:access_token, subprotocol:bearer.
	Sources []string
	// Optional opens WebSockets without a token too, with an empty Identity. A token that is there
	// must be valid nevertheless.
	Optional bool
	// MaxToken bounds a token, in bytes, at most 16 KiB. Defaults to 8 KiB.
	MaxToken int
	// Logger receives what Watch does. Defaults to slog.Default().
	Logger *slog.Logger
}

// ConfigError is returned by New for a Config that is invalid.
type ConfigError struct {
	Field string // of Config
	Err   error  // what is wrong with it
}

// Error names the field and says what is wrong.
func (e *ConfigError) Error() string { return "jwtauth: Config." + e.Field + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *ConfigError) Unwrap() error { return e.Err }

func invalid(field, format string, args ...any) *ConfigError {
	return &ConfigError{field, fmt.Errorf(format, args...)}
}

// Authenticator checks tokens. Any goroutine may call its methods.
type Authenticator struct {
	// Static after New.
	cfg     Config
	sources []source
	parser  *jwt.Parser
	first   [3]stamp // of the files before they were read

	keys atomic.Pointer[[]key] // replaced by Reload
}

// New checks cfg and reads its files. The error is a *ConfigError.
func New(cfg Config) (*Authenticator, error) {
	if field, err := valid.Numbers(&cfg, "Leeway"); err != nil {
		return nil, &ConfigError{field, err}
	}
	if cfg.KeyFile == "" && cfg.SecretFile == "" && cfg.JWKSFile == "" {
		return nil, invalid("KeyFile", "is empty, and so are SecretFile and JWKSFile: one is required")
	}
	cfg.Leeway = max(cmp.Or(cfg.Leeway, 30*time.Second), 0)
	cfg.UIDClaim = cmp.Or(cfg.UIDClaim, "sub")
	cfg.MaxToken = cmp.Or(cfg.MaxToken, 8<<10)
	if cfg.MaxToken > 16<<10 {
		return nil, invalid("MaxToken", "%d: must be between 1 and %d", cfg.MaxToken, 16<<10)
	}
	if len(cfg.Algorithms) == 0 {
		cfg.Algorithms = algorithms
	}
	for _, a := range cfg.Algorithms {
		if !slices.Contains(algorithms, a) {
			return nil, invalid("Algorithms", "%q: must be one of %s", a, strings.Join(algorithms, ", "))
		}
	}
	for _, attr := range slices.Sorted(maps.Keys(cfg.Attributes)) {
		if attr == "" || cfg.Attributes[attr] == "" {
			return nil, invalid("Attributes", "%q of claim %q: neither may be empty", attr, cfg.Attributes[attr])
		}
	}
	if len(cfg.Sources) == 0 {
		cfg.Sources = []string{"header", "query:access_token", "subprotocol:bearer"}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	a := &Authenticator{cfg: cfg}
	var err error
	if a.sources, err = newSources(cfg.Sources); err != nil {
		return nil, err
	}
	a.parser = jwt.NewParser(a.options()...)
	a.first = a.stamps()
	if err := a.Reload(); err != nil {
		return nil, err
	}
	return a, nil
}

// options are how the library checks claims. Signing methods are checked with the keys, see
// keysFor.
func (a *Authenticator) options() []jwt.ParserOption {
	all := []jwt.ParserOption{jwt.WithLeeway(a.cfg.Leeway), jwt.WithStrictDecoding(), jwt.WithJSONNumber()}
	if a.cfg.Issuer != "" {
		all = append(all, jwt.WithIssuer(a.cfg.Issuer))
	}
	if len(a.cfg.Audiences) > 0 {
		all = append(all, jwt.WithAudience(a.cfg.Audiences...))
	}
	return all
}

// Reload reads the files again. After an error the keys stay as they were.
func (a *Authenticator) Reload() error {
	keys, err := a.cfg.load()
	if err != nil {
		return err
	}
	usable := func(k key) bool {
		return slices.ContainsFunc(a.cfg.Algorithms, func(alg string) bool { return k.fits(jwt.GetSigningMethod(alg)) })
	}
	if !slices.ContainsFunc(keys, usable) {
		return invalid("Algorithms", "%s: no key is for any of them", strings.Join(a.cfg.Algorithms, ", "))
	}
	a.keys.Store(&keys)
	return nil
}

// Protect makes a listener's WebSockets identify themselves by a token.
func (a *Authenticator) Protect(l *gateway.ListenerConfig) {
	l.OnUpgrade, l.OnRefresh = a.OnUpgrade, a.OnRefresh
	for _, s := range a.sources {
		switch s.kind {
		case "query":
			l.MaskQuery = append(l.MaskQuery, s.name)
		case "subprotocol":
			l.TokenSubprotocol = s.name
		}
	}
}

// OnUpgrade is the gateway.ListenerConfig.OnUpgrade of a listener. A token that is missing or
// invalid is refused with status 401, and counted by its reason: missing, too_large, malformed,
// algorithm, key, signature, expired, not_yet_valid, issuer, audience, claims.
func (a *Authenticator) OnUpgrade(_ context.Context, r *http.Request) (gateway.Identity, error) {
	for _, s := range a.sources {
		token, found, err := s.token(r)
		if err != nil {
			return gateway.Identity{}, refuse("malformed", err.Error())
		}
		if found {
			return a.identify(token)
		}
	}
	if a.cfg.Optional {
		return gateway.Identity{}, nil
	}
	return gateway.Identity{}, refuse("missing", "a token is required")
}

// OnRefresh is the gateway.ListenerConfig.OnRefresh of a listener.
func (a *Authenticator) OnRefresh(_ context.Context, token string) (gateway.Identity, error) {
	return a.identify(token)
}

func refuse(reason, text string) error {
	return gateway.RefuseFor(reason, http.StatusUnauthorized, text)
}

// errors of keysFor.
var (
	errAlgorithm = errors.New("the algorithm of the token is not accepted")
	errKey       = errors.New("the token names an unknown key")
	errCritical  = errors.New("the token has a critical extension")
)

// identify checks a token.
func (a *Authenticator) identify(token string) (none gateway.Identity, err error) {
	if len(token) > a.cfg.MaxToken {
		return none, refuse("too_large", fmt.Sprintf("a token of %d bytes: must have at most %d", len(token), a.cfg.MaxToken))
	}
	claims := jwt.MapClaims{}
	if _, err := a.parser.ParseWithClaims(token, claims, a.keysFor); err != nil {
		return none, refusalOf(err)
	}
	id, err := a.identity(claims)
	if err != nil {
		return none, refuse("claims", err.Error())
	}
	return id, nil
}

// refusalOf returns the refusal for an error of the library. Its text has nothing of the token.
func refusalOf(err error) error {
	for _, e := range []struct {
		err          error
		reason, text string
	}{
		{errAlgorithm, "algorithm", errAlgorithm.Error()},
		{errKey, "key", errKey.Error()},
		{errCritical, "malformed", errCritical.Error()},
		{jwt.ErrTokenSignatureInvalid, "signature", "the signature of the token is invalid"},
		{jwt.ErrTokenMalformed, "malformed", "the token is malformed"},
		{jwt.ErrTokenUnverifiable, "algorithm", errAlgorithm.Error()}, // one that the library does not know
		{jwt.ErrTokenExpired, "expired", "the token has expired"},
		{jwt.ErrTokenNotValidYet, "not_yet_valid", "the token is not valid yet"},
		{jwt.ErrTokenInvalidIssuer, "issuer", "the token is of another issuer"},
		{jwt.ErrTokenInvalidAudience, "audience", "the token is for another audience"},
		{jwt.ErrTokenRequiredClaimMissing, "claims", "the token lacks a claim"},
	} {
		if errors.Is(err, e.err) {
			return refuse(e.reason, e.text)
		}
	}
	return refuse("claims", "the claims of the token are invalid")
}

// keysFor returns the keys that a token may be signed with.
func (a *Authenticator) keysFor(t *jwt.Token) (any, error) {
	if !slices.Contains(a.cfg.Algorithms, t.Method.Alg()) {
		return nil, errAlgorithm
	}
	if t.Header["crit"] != nil { // no extension is known (RFC 7515 section 4.1.11)
		return nil, errCritical
	}
	id, named := t.Header["kid"].(string)
	var set jwt.VerificationKeySet
	fits := false
	for i, keys := 0, *a.keys.Load(); i < len(keys); i++ {
		k := &keys[i]
		if !k.fits(t.Method) {
			continue
		}
		fits = true
		if !named || k.id == "" || k.id == id {
			set.Keys = append(set.Keys, k.public)
		}
	}
	switch {
	case !fits:
		return nil, errAlgorithm
	case len(set.Keys) == 0:
		return nil, errKey
	}
	return set, nil
}
