package jwtauth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"

	"github.com/seed-7410fe32/sluice/internal/leaktest"
	"github.com/seed-7410fe32/sluice/internal/validtest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

var secret = []byte("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")

// signers are private keys by a name. They are made once, since RSA takes long.
var signers = sync.OnceValue(func() map[string]crypto.Signer {
	must := func(k crypto.Signer, err error) crypto.Signer {
		if err != nil {
			panic(err)
		}
		return k
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	curve := func(c elliptic.Curve) crypto.Signer {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		return must(k, err)
	}
	r, rErr := rsa.GenerateKey(rand.Reader, 2048)
	return map[string]crypto.Signer{
		"RSA": must(r, rErr), "Ed25519": must(ed, err), "P-256": curve(elliptic.P256()), "P-384": curve(elliptic.P384()),
		"P-521": curve(elliptic.P521()), "other P-256": curve(elliptic.P256()),
	}
})

// keyOf is the name of the key of each algorithm.
var keyOf = map[string]string{
	"RS256": "RSA", "RS384": "RSA", "RS512": "RSA", "PS256": "RSA", "PS384": "RSA", "PS512": "RSA",
	"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519",
	"HS256": "", "HS384": "", "HS512": "",
}

// public is a key in PEM form.
func public(t testing.TB, name string) string {
	t.Helper()
	b, err := x509.MarshalPKIXPublicKey(signers()[name].Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: b}))
}

// keySet is a JSON Web Key Set of public keys, by kid, and a secret with kid hmac.
func keySet(t testing.TB, names ...string) string {
	t.Helper()
	set := jwkset.JWKSMarshal{}
	for _, name := range names {
		key, private := any(secret), jwkset.JWKMarshalOptions{Private: true}
		if name != "hmac" {
			key, private = signers()[name].Public(), jwkset.JWKMarshalOptions{}
		}
		o := jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: name}, Marshal: private}
		j, err := jwkset.NewJWKFromKey(key, o)
		if err != nil {
			t.Fatal(err)
		}
		set.Keys = append(set.Keys, j.Marshal())
	}
	b, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func file(t testing.TB, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// sign makes a token. key is the name of one of signers, or empty for the secret.
func sign(t testing.TB, alg, key, kid string, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.GetSigningMethod(alg), claims)
	if kid != "" {
		token.Header["kid"] = kid
	}
	with := any(secret)
	if key != "" {
		with = signers()[key]
	}
	s, err := token.SignedString(with)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// tokenOf is a token with any header, signed by HS256 with any key.
func tokenOf(header, claims string, key []byte) string {
	s := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(s))
	return s + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func in(d time.Duration) int64 { return time.Now().Add(d).Unix() }

func newAuth(t testing.TB, cfg Config) *Authenticator {
	t.Helper()
	cfg.Logger = slog.New(slog.DiscardHandler)
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// reasonOf is the text of a refusal; empty: there is none.
func reasonOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Every algorithm works with the key of its type, from each kind of file, and with no other key.
func TestAlgorithms(t *testing.T) {
	t.Parallel()
	pems := ""
	for _, name := range []string{"RSA", "Ed25519", "P-256", "P-384", "P-521"} {
		pems += public(t, name)
	}
	all := keySet(t, "RSA", "Ed25519", "P-256", "P-384", "P-521", "hmac")
	for name, a := range map[string]*Authenticator{
		"PEM":  newAuth(t, Config{KeyFile: file(t, pems), SecretFile: file(t, string(secret)+"\n")}),
		"JWKS": newAuth(t, Config{JWKSFile: file(t, all)}),
	} {
		for _, alg := range algorithms {
			for _, kid := range []string{"", keyOf[alg], "unknown"} {
				if kid == "" && keyOf[alg] == "" {
					kid = "hmac"
				}
				token := sign(t, alg, keyOf[alg], kid, jwt.MapClaims{"sub": "ada", "exp": in(time.Hour)})
				id, err := a.identify(token)
				if valid := name == "PEM" || kid != "unknown"; valid && (err != nil || id.UID != "ada") ||
					!valid && !strings.Contains(reasonOf(err), "unknown key") {
					t.Errorf("%s, %s, kid %q: %+v, %v", name, alg, kid, id, err)
				}
			}
			only := newAuth(t, Config{SecretFile: file(t, string(secret)), Algorithms: []string{"HS256"}})
			token := sign(t, alg, keyOf[alg], "", jwt.MapClaims{"sub": "ada"})
			if _, err := only.identify(token); (err == nil) != (alg == "HS256") {
				t.Errorf("%s where only HS256 is accepted: %v", alg, err)
			}
		}
		token := sign(t, "ES256", "other P-256", "", jwt.MapClaims{"sub": "ada"})
		if _, err := a.identify(token); !strings.Contains(reasonOf(err), "signature") {
			t.Errorf("%s, another key: %v", name, err)
		}
		token = sign(t, "ES256", "P-256", "P-384", jwt.MapClaims{"sub": "ada"})
		if _, err := a.identify(token); name == "JWKS" && !strings.Contains(reasonOf(err), "unknown key") {
			t.Errorf("%s, the kid of another key: %v", name, err)
		}
	}
}

// What is wrong with a token is refused with status 401 and the right reason.
func TestRefusedTokens(t *testing.T) {
	t.Parallel()
	rsaPEM := public(t, "RSA")
	a := newAuth(t, Config{KeyFile: file(t, rsaPEM), JWKSFile: file(t, keySet(t, "P-256")),
		Issuer: "me", Audiences: []string{"chat", "game"}, Leeway: 10 * time.Second})
	good := func(more jwt.MapClaims) jwt.MapClaims {
		claims := jwt.MapClaims{"sub": "ada", "iss": "me", "aud": "chat", "exp": in(time.Hour)}
		for k, v := range more {
			claims[k] = v
			if v == nil {
				delete(claims, k)
			}
		}
		return claims
	}
	rs := func(more jwt.MapClaims) string { return sign(t, "RS256", "RSA", "", good(more)) }
	valid := rs(nil)
	const claims = `{"sub":"ada","iss":"me","aud":"chat","exp":4102444800}`
	none := tokenOf(`{"alg":"none"}`, claims, nil)
	for name, c := range map[string]struct{ token, reason string }{
		"valid":                  {valid, ""},
		"valid, several":         {rs(jwt.MapClaims{"aud": []string{"x", "game"}}), ""},
		"valid within leeway":    {rs(jwt.MapClaims{"exp": in(-5 * time.Second), "nbf": in(5 * time.Second)}), ""},
		"valid for ever":         {rs(jwt.MapClaims{"exp": nil}), ""},
		"empty":                  {"", "malformed"},
		"garbage":                {"garbage", "malformed"},
		"two parts":              {valid[:strings.LastIndexByte(valid, '.')], "malformed"},
		"four parts":             {valid + ".x", "malformed"},
		"not base64":             {"!" + valid, "malformed"},
		"padded":                 {valid + "=", "malformed"},
		"header no JSON":         {tokenOf("{", claims, secret), "malformed"},
		"no algorithm":           {tokenOf(`{}`, claims, secret), "algorithm"},
		"unknown algorithm":      {tokenOf(`{"alg":"XS256"}`, claims, secret), "algorithm"},
		"none":                   {none, "algorithm"},
		"none without signature": {none[:strings.LastIndexByte(none, '.')+1], "algorithm"},
		"None":                   {tokenOf(`{"alg":"None"}`, claims, nil), "algorithm"},
		"public key as secret":   {tokenOf(`{"alg":"HS256"}`, claims, []byte(rsaPEM)), "algorithm"},
		"public key, trimmed": {tokenOf(`{"alg":"HS256","kid":"P-256"}`, claims, []byte(strings.TrimSpace(rsaPEM))),
			"algorithm"},
		"own key in header": {tokenOf(`{"alg":"HS256","jwk":{"kty":"oct","k":"c2VjcmV0"}}`, claims, []byte("secret")),
			"algorithm"},
		"critical":          {criticalToken(t, good(nil)), "malformed"},
		"other key":         {sign(t, "ES256", "other P-256", "", good(nil)), "signature"},
		"unknown kid":       {sign(t, "ES256", "P-256", "gone", good(nil)), "key"},
		"changed":           {valid[:len(valid)-6] + "AAAAAA", "signature"},
		"expired":           {rs(jwt.MapClaims{"exp": in(-time.Minute)}), "expired"},
		"expired long ago":  {rs(jwt.MapClaims{"exp": 1}), "expired"},
		"not yet valid":     {rs(jwt.MapClaims{"nbf": in(time.Minute)}), "not_yet_valid"},
		"issuer":            {rs(jwt.MapClaims{"iss": "you"}), "issuer"},
		"no issuer":         {rs(jwt.MapClaims{"iss": nil}), "claims"},
		"audience":          {rs(jwt.MapClaims{"aud": "other"}), "audience"},
		"no audience":       {rs(jwt.MapClaims{"aud": nil}), "claims"},
		"exp is text":       {rs(jwt.MapClaims{"exp": "tomorrow"}), "claims"},
		"no uid":            {rs(jwt.MapClaims{"sub": nil}), "claims"},
		"empty uid":         {rs(jwt.MapClaims{"sub": ""}), "claims"},
		"uid is a list":     {rs(jwt.MapClaims{"sub": []string{"a"}}), "claims"},
		"uid is a fraction": {rs(jwt.MapClaims{"sub": 1.5}), "claims"},
		"long uid":          {rs(jwt.MapClaims{"sub": strings.Repeat("x", maxUID+1)}), "claims"},
		"too large":         {rs(jwt.MapClaims{"x": strings.Repeat("x", 8<<10)}), "too_large"},
	} {
		_, err := a.OnRefresh(t.Context(), c.token)
		if got := fieldOf(err, "reason"); got != c.reason {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.reason)
		}
		if err != nil && !strings.Contains(err.Error(), "(401)") {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && len(c.token) > 20 && strings.Contains(err.Error(), c.token[:20]) {
			t.Errorf("%s: the error has the token: %v", name, err)
		}
	}
}

// fieldOf is a field of gateway's refusal, which is not exported.
func fieldOf(err error, name string) string {
	if err == nil {
		return ""
	}
	return reflect.ValueOf(err).Elem().FieldByName(name).String()
}

func criticalToken(t *testing.T, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	token.Header["crit"] = []string{"exp"}
	s, err := token.SignedString(signers()["P-256"])
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Claims become uid, attributes and the end.
func TestClaims(t *testing.T) {
	t.Parallel()
	a := newAuth(t, Config{SecretFile: file(t, string(secret)), UIDClaim: "user", Leeway: -1,
		Attributes: map[string]string{
			"name": "name", "n": "number", "all": "roles", "yes": "flag", "nothing": "null", "gone": "missing"}})
	until := in(time.Hour)
	id, err := a.identify(sign(t, "HS256", "", "", jwt.MapClaims{"user": 12345678901234567, "name": "Ada \"x\"",
		"number": 12345678901234567, "roles": []string{"a", "b"}, "flag": true, "null": nil, "exp": until}))
	want := map[string]string{"name": `Ada "x"`, "n": "12345678901234567", "all": `["a","b"]`, "yes": "true",
		"nothing": "null"}
	if err != nil || id.UID != "12345678901234567" || id.Expires.Unix() != until || !reflect.DeepEqual(id.Attrs, want) {
		t.Errorf("%+v, %v", id, err)
	}
	id, err = a.identify(sign(t, "HS256", "", "", jwt.MapClaims{"user": "u"}))
	if err != nil || !id.Expires.IsZero() || id.Attrs != nil {
		t.Errorf("%+v, %v", id, err)
	}
}

// A token is found in each source, the first one counts, and two in one are refused.
func TestSources(t *testing.T) {
	t.Parallel()
	path := file(t, string(secret))
	ada := sign(t, "HS256", "", "", jwt.MapClaims{"sub": "ada"})
	bob := sign(t, "HS256", "", "", jwt.MapClaims{"sub": "bob"})
	for _, c := range []struct {
		name, target string
		header       http.Header
		want, reason string
	}{
		{"header", "/", http.Header{"Authorization": {"Bearer " + ada}}, "ada", ""},
		{"scheme in lower case", "/", http.Header{"Authorization": {"bearer  " + ada}}, "ada", ""},
		{"query", "/?x=y&token=" + ada, nil, "ada", ""},
		{"cookie", "/", http.Header{"Cookie": {"a=b; jwt=" + ada}}, "ada", ""},
		{"subprotocol", "/", http.Header{"Sec-Websocket-Protocol": {"chat, my.token," + ada}}, "ada", ""},
		{"subprotocol, two fields", "/", http.Header{"Sec-Websocket-Protocol": {"my.token", ada}}, "ada", ""},
		{"header first", "/?token=" + bob, http.Header{"Authorization": {"Bearer " + ada}}, "ada", ""},
		{"invalid first", "/?token=" + bob, http.Header{"Authorization": {"Bearer x"}}, "", "malformed"},
		{"other scheme", "/?token=" + bob, http.Header{"Authorization": {"Basic eDp5"}}, "bob", ""},
		{"none", "/", nil, "", "missing"},
		{"two headers", "/", http.Header{"Authorization": {"Bearer " + ada, "Bearer " + bob}}, "", "malformed"},
		{"two in the query", "/?token=a&token=b", nil, "", "malformed"},
		{"two cookies", "/", http.Header{"Cookie": {"jwt=a; jwt=b"}}, "", "malformed"},
		{"empty", "/?token=", nil, "", "malformed"},
		{"no token after the name", "/", http.Header{"Sec-Websocket-Protocol": {"my.token"}}, "", "malformed"},
	} {
		for _, optional := range []bool{false, true} {
			a := newAuth(t, Config{SecretFile: path, Optional: optional,
				Sources: []string{"header", "query:token", "cookie:jwt", "subprotocol:my.token"}})
			r := httptest.NewRequest(http.MethodGet, c.target, nil)
			r.Header = c.header
			id, err := a.OnUpgrade(t.Context(), r)
			want := c.reason
			if optional && want == "missing" {
				want = ""
			}
			if got := fieldOf(err, "reason"); got != want || id.UID != c.want {
				t.Errorf("%s, optional %v: %+v, %q, %v", c.name, optional, id, got, err)
			}
		}
	}
}

// Keys are read again when their file has changed. A file that is not valid changes nothing.
func TestWatch(t *testing.T) {
	t.Parallel()
	path := file(t, public(t, "P-256"))
	a := newAuth(t, Config{KeyFile: path})
	old, renewed := sign(t, "ES256", "P-256", "", jwt.MapClaims{"sub": "a"}),
		sign(t, "ES256", "other P-256", "", jwt.MapClaims{"sub": "a"})
	ctx, cancel := context.WithCancel(context.Background())
	ticks, done := make(chan time.Time), make(chan struct{})
	go func() {
		defer close(done)
		a.watch(ctx, ticks)
	}()
	defer func() { cancel(); <-done }()
	accepts := func(what string, oldOnes, newOnes bool) {
		t.Helper()
		for range 2 { // the second one waits until the first is handled
			ticks <- time.Time{}
		}
		_, oldErr := a.identify(old)
		if _, newErr := a.identify(renewed); (oldErr == nil) != oldOnes || (newErr == nil) != newOnes {
			t.Errorf("%s: the old token: %v, the new one: %v", what, oldErr, newErr)
		}
	}
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	accepts("unchanged", true, false)
	write("nothing")
	accepts("no key", true, false)
	if err := a.Reload(); err == nil || !strings.Contains(err.Error(), path) {
		t.Error(err)
	}
	write(public(t, "P-256") + public(t, "other P-256"))
	accepts("both", true, true)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	accepts("no file", true, true)
	write(public(t, "other P-256"))
	accepts("the new one", false, true)
}

// Files that cannot be used are refused with what is wrong.
func TestFiles(t *testing.T) {
	t.Parallel()
	small, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // it is to be refused
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(signers()["P-256"])
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	set := func(keys string) Config { return Config{JWKSFile: file(t, `{"keys":[`+keys+`]}`)} }
	for name, c := range map[string]struct {
		cfg  Config
		says string
	}{
		"nothing":   {Config{}, "one is required"},
		"no file":   {Config{KeyFile: "/does/not/exist"}, "no such file"},
		"a folder":  {Config{KeyFile: t.TempDir()}, "is a directory"},
		"empty":     {Config{KeyFile: file(t, "\n")}, "is empty"},
		"too large": {Config{KeyFile: file(t, strings.Repeat("x", maxKeyFile+1))}, "more than 1048576 bytes"},
		"no PEM":    {Config{KeyFile: file(t, string(secret))}, "no key in PEM form"},
		"private key": {Config{KeyFile: file(t, block("PRIVATE KEY", private))},
			"PRIVATE KEY in PEM form: must be PUBLIC KEY"},
		"broken": {Config{KeyFile: file(t, block("PUBLIC KEY", []byte("x")))}, "PUBLIC KEY in PEM form"},
		"small RSA": {Config{KeyFile: file(t, block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&small.PublicKey)))},
			"1024 bits"},
		"PEM as secret":  {Config{SecretFile: file(t, public(t, "RSA"))}, "PUBLIC KEY in PEM form: must be a secret"},
		"short secret":   {Config{SecretFile: file(t, " 0123456789abcdef0123456789abcde\n")}, "31 bytes"},
		"no JSON":        {Config{JWKSFile: file(t, "x")}, "not a JSON Web Key Set"},
		"no set":         {Config{JWKSFile: file(t, "{}")}, `no "keys"`},
		"an empty set":   {Config{JWKSFile: file(t, `{"keys":[]}`)}, "no key for signatures"},
		"for encryption": {set(`{"kty":"oct","k":"AAAA","use":"enc"}`), "no key for signatures"},
		"short oct":      {set(`{"kty":"oct","k":"AAAA","kid":"a"}`), `kid "a"): 3 bytes`},
		"unknown kty":    {set(`{"kty":"x"}`), "key 0"},
		"X25519":         {set(`{"kty":"OKP","crv":"X25519","x":"` + strings.Repeat("A", 43) + `"}`), "not supported"},
		"no key of the kind": {Config{KeyFile: file(t, public(t, "RSA")), Algorithms: []string{"HS256", "ES256"}},
			"no key is for any"},
		"secret of HS512": {Config{SecretFile: file(t, string(secret[:40])), Algorithms: []string{"HS512"}},
			"no key is for any"},
		"many": {Config{JWKSFile: file(t, keySet(t, strings.Fields(strings.Repeat("Ed25519 ", maxKeys+1))...))},
			"65 keys"},
		"source twice": {Config{SecretFile: file(t, string(secret)), Sources: []string{"subprotocol:a", "subprotocol:b"}},
			"another"},
	} {
		_, err := New(c.cfg)
		if bad, ok := errors.AsType[*ConfigError](err); !ok || bad.Field == "" || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
	for name, content := range map[string]string{
		"RSA PUBLIC KEY": block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(signers()["RSA"].Public().(*rsa.PublicKey))),
		"text around":    "a comment\n" + public(t, "RSA") + "\nmore\n",
	} {
		a := newAuth(t, Config{KeyFile: file(t, content)})
		if _, err := a.identify(sign(t, "RS256", "RSA", "", jwt.MapClaims{"sub": "a"})); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	one := strings.TrimSuffix(strings.TrimPrefix(keySet(t, "P-256"), `{"keys":[`), `]}`)
	if _, err := New(Config{JWKSFile: file(t, one)}); err != nil {
		t.Errorf("a single key: %v", err)
	}
}

// Every field of a Config has a default, and invalid values are refused.
func TestConfigFields(t *testing.T) {
	t.Parallel()
	good := Config{SecretFile: file(t, string(secret)), KeyFile: file(t, public(t, "RSA")),
		JWKSFile: file(t, keySet(t, "RSA"))}
	check := func(c *Config) error {
		a, err := New(*c)
		if err == nil {
			*c = a.cfg
		}
		return err
	}
	gone := filepath.Join(t.TempDir(), "gone")
	validtest.Fields(t, good, check, map[string]validtest.Field{
		"KeyFile": {Bad: []any{gone}}, "SecretFile": {Bad: []any{gone}}, "JWKSFile": {Bad: []any{gone}},
		"Algorithms": {Good: []any{[]string{"RS256", "EdDSA"}},
			Bad: []any{[]string{"none"}, []string{""}, []string{"rs256"}}},
		"Issuer": {Good: []any{"me"}}, "Audiences": {Good: []any{[]string{"a", "b"}}},
		"Leeway":   {Default: int64(30 * time.Second), Off: true},
		"UIDClaim": {Good: []any{"user"}},
		"Attributes": {Good: []any{map[string]string{"a": "b"}},
			Bad: []any{map[string]string{"": "b"}, map[string]string{"a": ""}}},
		"Sources": {Good: []any{[]string{"cookie:a", "header"}},
			Bad: []any{[]string{""}, []string{"header:a"}, []string{"query"}, []string{"cookie:"}, []string{"body:a"}}},
		"Optional": {Good: []any{true}},
		"MaxToken": {Default: 8 << 10, Max: 16 << 10},
		"Logger":   {},
	})
}

// No token makes the Authenticator panic, and none is accepted of which another part than the
// signature was changed.
func FuzzToken(f *testing.F) {
	a := newAuth(f, Config{KeyFile: file(f, public(f, "P-256")), SecretFile: file(f, string(secret))})
	signed := make(map[string]bool)
	for _, token := range []string{
		sign(f, "ES256", "P-256", "", jwt.MapClaims{"sub": "a", "exp": 1e10}),
		sign(f, "HS256", "", "", jwt.MapClaims{"sub": "a"}),
	} {
		f.Add(token)
		signed[token[:strings.LastIndexByte(token, '.')]] = true
	}
	f.Add(tokenOf(`{"alg":"none"}`, `{"sub":"a"}`, nil))
	f.Fuzz(func(t *testing.T, token string) {
		if id, err := a.identify(token); err == nil && !signed[token[:strings.LastIndexByte(token, '.')]] {
			t.Errorf("%q: %+v", token, id)
		}
	})
}
