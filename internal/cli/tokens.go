package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/pflag"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/gateway/jwtauth"
)

// tokens are the flags about tokens of clients.
type tokens struct {
	cfg        jwtauth.Config // without what other fields here say
	attributes []string

	inUse *inUseTokens // of the gateway; nil before start
}

// inUseTokens check the tokens of a gateway's clients.
type inUseTokens struct {
	auth atomic.Pointer[jwtauth.Authenticator] // nil: clients have needed no token so far

	// Owned by the goroutine that starts the gateway, and later by the one that reloads.
	ctx  context.Context // until it ends, files are watched; nil: they are not
	stop context.CancelFunc
}

// addFlags adds the flags about tokens of clients.
func (t *tokens) addFlags(f *pflag.FlagSet) {
	f.StringVar(&t.cfg.KeyFile, "jwt-key-file", "",
		"`file` with public keys or certificates in PEM form; clients of ws listeners then need a JSON "+
			"Web Token")
	f.StringVar(&t.cfg.SecretFile, "jwt-secret-file", "",
		"`file` with the secret of HS256, HS384 and HS512, at least 32 bytes")
	f.StringVar(&t.cfg.JWKSFile, "jwt-jwks-file", "", "`file` with a JSON Web Key Set")
	f.BoolVar(&t.cfg.Optional, "jwt-optional", false, "accept clients without a token too")
	f.StringSliceVar(&t.cfg.Sources, "jwt-from", []string{"header", "query:access_token", "subprotocol:bearer"},
		"`SOURCE`[,SOURCE] where a token is looked for: header (Authorization: Bearer), query:NAME, "+
			"cookie:NAME, subprotocol:NAME (the one after NAME)")
	f.StringSliceVar(&t.cfg.Algorithms, "jwt-algorithm", nil,
		"`NAME`[,NAME] of the algorithms accepted, for example RS256 (default: those of the keys)")
	f.StringVar(&t.cfg.Issuer, "jwt-issuer", "", "`value` that the claim iss must have (default: anything)")
	f.StringSliceVar(&t.cfg.Audiences, "jwt-audience", nil,
		"`NAME`[,NAME] of which the claim aud must have one (default: anything)")
	f.DurationVar(&t.cfg.Leeway, "jwt-leeway", 30*time.Second,
		"`time` by which clocks may differ when exp and nbf are checked; negative: none")
	f.StringVar(&t.cfg.UIDClaim, "jwt-uid-claim", "sub", "`claim` that is the uid of the client")
	f.StringSliceVar(&t.attributes, "jwt-attribute", nil,
		"`ATTRIBUTE=CLAIM`[,ATTRIBUTE=CLAIM] that becomes an attribute of the client; repeatable")
}

// hasKeys reports whether clients need a token.
func (t *tokens) hasKeys() bool {
	return t.cfg.KeyFile != "" || t.cfg.SecretFile != "" || t.cfg.JWKSFile != ""
}

// check refuses flags about tokens where there is no key, because no client would need a token.
func (t *tokens) check(flags *pflag.FlagSet) (err error) {
	if t.hasKeys() {
		return nil
	}
	flags.VisitAll(func(f *pflag.Flag) {
		if strings.HasPrefix(f.Name, "jwt-") && f.Value.String() != f.DefValue && err == nil {
			err = usageError{fmt.Errorf("--%s: needs --jwt-key-file, --jwt-secret-file or --jwt-jwks-file", f.Name)}
		}
	})
	return err
}

// authenticator reads the keys. It returns nil if there are none.
func (t *tokens) authenticator(log *slog.Logger) (*jwtauth.Authenticator, error) {
	if !t.hasKeys() {
		return nil, nil
	}
	cfg := t.cfg
	cfg.Logger, cfg.Attributes = log, make(map[string]string)
	for _, pair := range t.attributes {
		attribute, claim, ok := strings.Cut(pair, "=")
		if !ok {
			claim = attribute
		}
		cfg.Attributes[attribute] = claim
	}
	auth, err := jwtauth.New(cfg)
	if bad, ok := errors.AsType[*jwtauth.ConfigError](err); ok {
		return nil, settingError{tokenFlag[bad.Field], -1, bad.Err}
	}
	return auth, err
}

// tokenFlag are the flags of the fields of jwtauth.Config.
var tokenFlag = map[string]string{
	"KeyFile": "jwt-key-file", "SecretFile": "jwt-secret-file", "JWKSFile": "jwt-jwks-file",
	"Algorithms": "jwt-algorithm", "Issuer": "jwt-issuer", "Audiences": "jwt-audience", "Leeway": "jwt-leeway",
	"UIDClaim": "jwt-uid-claim", "Attributes": "jwt-attribute", "Sources": "jwt-from", "Optional": "jwt-optional",
}

// start makes the clients of a new gateway's listeners need a token, if there are keys.
func (t *tokens) start(listeners []gateway.ListenerConfig, log *slog.Logger) error {
	t.inUse = new(inUseTokens)
	use, err := t.replace(t, listeners, log)
	if err == nil {
		use()
	}
	return err
}

// replace reads the keys of other flags, and makes the clients of listeners need a token, if there
// are keys. use makes them those in use. Clients that are connected renew their tokens by the keys
// in use.
func (t *tokens) replace(by *tokens, listeners []gateway.ListenerConfig, log *slog.Logger) (use func(), err error) {
	auth, err := by.authenticator(log)
	if err != nil {
		return nil, err
	}
	if auth == nil {
		return func() {
			if t.inUse.stop != nil {
				log.Warn("clients need no token any more: the settings name no key of tokens")
			}
			t.inUse.rest()
		}, nil
	}
	for i := range listeners {
		l := &listeners[i]
		_, _, webSocket := webSocketURL(l.URL)
		switch {
		case webSocket:
			t.inUse.protect(l, auth)
		case !by.cfg.Optional:
			return nil, settingError{"listen", i, fmt.Errorf("%s: only clients of ws listeners have tokens: leave it out "+
				"(--listen ws://HOST:PORT), or add --jwt-optional", l.URL)}
		}
	}
	return func() {
		t.inUse.use(auth)
		if by != t {
			log.Info("keys of tokens read again")
		}
	}, nil
}

// protect makes the clients of a listener need a token.
func (u *inUseTokens) protect(l *gateway.ListenerConfig, auth *jwtauth.Authenticator) {
	auth.Protect(l)
	l.OnUpgrade = func(ctx context.Context, r *http.Request) (gateway.Identity, error) {
		return u.auth.Load().OnUpgrade(ctx, r)
	}
	l.OnRefresh = func(ctx context.Context, token string) (gateway.Identity, error) {
		return u.auth.Load().OnRefresh(ctx, token)
	}
}

// use checks tokens by auth from now on.
func (u *inUseTokens) use(auth *jwtauth.Authenticator) {
	u.rest()
	u.auth.Store(auth)
	if u.ctx != nil {
		u.watch(u.ctx)
	}
}

// rest stops to watch the files.
func (u *inUseTokens) rest() {
	if u.stop != nil {
		u.stop()
		u.stop = nil
	}
}

// watch reads the keys again when their files change, until ctx ends.
func (u *inUseTokens) watch(ctx context.Context) {
	u.ctx = ctx
	if auth := u.auth.Load(); auth != nil {
		ctx, u.stop = context.WithCancel(ctx)
		go auth.Watch(ctx)
	}
}
