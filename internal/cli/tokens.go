package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/gateway/jwtauth"
)

// tokens are the flags about tokens of clients.
type tokens struct {
	cfg        jwtauth.Config // without what other fields here say
	attributes []string
	auth       *jwtauth.Authenticator // nil: clients need no token
}

// addFlags adds the flags about tokens of clients.
func (t *tokens) addFlags(c *cobra.Command) {
	f := c.Flags()
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
	f.StringVar(&t.cfg.Issuer, "jwt-issuer", "", "what the claim iss must `be` (default: anything)")
	f.StringSliceVar(&t.cfg.Audiences, "jwt-audience", nil,
		"`NAME`[,NAME] of which the claim aud must have one (default: anything)")
	f.DurationVar(&t.cfg.Leeway, "jwt-leeway", 30*time.Second,
		"`time` by which clocks may differ when exp and nbf are checked; negative: none")
	f.StringVar(&t.cfg.UIDClaim, "jwt-uid-claim", "sub", "`claim` that is the uid of the client")
	f.StringSliceVar(&t.attributes, "jwt-attribute", nil,
		"`ATTRIBUTE=CLAIM`[,ATTRIBUTE=CLAIM] that becomes an attribute of the client; repeatable")
}

// check refuses flags about tokens where there is no key, because no client would need a token.
func (t *tokens) check(f *pflag.FlagSet) (err error) {
	if t.cfg.KeyFile != "" || t.cfg.SecretFile != "" || t.cfg.JWKSFile != "" {
		return nil
	}
	f.Visit(func(flag *pflag.Flag) {
		if strings.HasPrefix(flag.Name, "jwt-") && err == nil {
			err = usageError{fmt.Errorf("--%s needs --jwt-key-file, --jwt-secret-file or --jwt-jwks-file", flag.Name)}
		}
	})
	return err
}

// protect makes clients of the listeners need a token, if there are keys.
func (t *tokens) protect(listeners []gateway.ListenerConfig, log *slog.Logger) error {
	cfg := t.cfg
	if cfg.KeyFile == "" && cfg.SecretFile == "" && cfg.JWKSFile == "" {
		return nil
	}
	cfg.Logger, cfg.Attributes = log, make(map[string]string)
	for _, pair := range t.attributes {
		attribute, claim, ok := strings.Cut(pair, "=")
		if !ok {
			claim = attribute
		}
		cfg.Attributes[attribute] = claim
	}
	var err error
	if t.auth, err = jwtauth.New(cfg); err != nil {
		if bad, ok := errors.AsType[*jwtauth.ConfigError](err); ok {
			return usageError{fmt.Errorf("--%s: %w", tokenFlag[bad.Field], bad.Err)}
		}
		return err
	}
	for i := range listeners {
		l := &listeners[i]
		switch {
		case strings.HasPrefix(l.URL, "ws://"):
			t.auth.Protect(l)
		case !cfg.Optional:
			return usageError{fmt.Errorf("--listen %s: only clients of ws listeners have tokens: leave it out "+
				"(--listen ws://HOST:PORT), or add --jwt-optional", l.URL)}
		}
	}
	return nil
}

// tokenFlag are the flags of the fields of jwtauth.Config.
var tokenFlag = map[string]string{
	"KeyFile": "jwt-key-file", "SecretFile": "jwt-secret-file", "JWKSFile": "jwt-jwks-file",
	"Algorithms": "jwt-algorithm", "Issuer": "jwt-issuer", "Audiences": "jwt-audience", "Leeway": "jwt-leeway",
	"UIDClaim": "jwt-uid-claim", "Attributes": "jwt-attribute", "Sources": "jwt-from", "Optional": "jwt-optional",
}

// watch reads the keys of tokens again when their files change, and on SIGHUP, until ctx ends.
func (t *tokens) watch(ctx context.Context, log *slog.Logger) {
	auth := t.auth
	if auth == nil {
		return
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	go auth.Watch(ctx)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-hup:
			}
			if err := auth.Reload(); err != nil {
				log.Error("keys of tokens not read again: the old ones stay", "err", err)
			} else {
				log.Info("keys of tokens read again")
			}
		}
	}()
}
