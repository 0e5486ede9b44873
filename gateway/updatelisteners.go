package gateway

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
)

// ErrNotReady is returned by UpdateListeners before Ready is closed.
var ErrNotReady = errors.New("gateway: not ready")

// UpdateListeners replaces the settings of listeners while the gateway runs, for example their
// limits and origins. Each config belongs to the listener that was made from the same URL. Listeners
// without a config stay as they are. The settings apply to clients that connect from then on;
// clients that are connected keep those that they began with. Any goroutine may call it.
//
// All configs are checked before the first one is applied. An error is ErrNotReady or a
// *ConfigError; then nothing has changed.
func (g *Gateway) UpdateListeners(configs []ListenerConfig) error {
	if !g.isReady() {
		return ErrNotReady
	}
	configs = slices.Clone(configs) // the caller's stay as they are
	at := make([]int, len(configs))
	for i := range configs {
		if at[i] = g.listenerOf(configs[:i], configs[i].URL); at[i] < 0 {
			return invalid(fmt.Sprintf("Listeners[%d].URL", i), "%q is not a listener of this gateway", configs[i].URL)
		}
		// A listener is told from the others by its URL alone.
		configs[i].Codec = g.cfg.Listeners[at[i]].Codec
		if err := configs[i].setDefaults(); err != nil {
			err.Field = fmt.Sprintf("Listeners[%d].%s", i, err.Field)
			return err
		}
	}
	for i, cfg := range configs {
		if err := g.listeners[at[i]].update(cfg); err != nil {
			return fmt.Errorf("gateway: update of %s: %w", cfg.URL, err) // not after the checks above
		}
	}
	return nil
}

// listenerOf returns the index of the listener with a URL, or -1. If several have it, because they
// have port 0, it is the one for the next config after those in before.
func (g *Gateway) listenerOf(before []ListenerConfig, url string) int {
	skip := 0
	for i := range before {
		if before[i].URL == url {
			skip++
		}
	}
	for i := range g.cfg.Listeners {
		if g.cfg.Listeners[i].URL == url {
			if skip == 0 {
				return i
			}
			skip--
		}
	}
	return -1
}

// update makes a listener with other settings for the clients that connect from now on.
func (l *listener) update(cfg ListenerConfig) error {
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return err
	}
	next := &listener{ListenerConfig: cfg, g: l.g, ln: l.ln, encoding: l.encoding, path: l.path, ready: l.ready,
		latest: l.latest}
	next.URL = l.URL
	next.configure(u.Scheme)
	next.upgrade.Loopback = l.upgrade.Loopback
	if err := l.ln.Update(next.options()); err != nil {
		return err
	}
	l.latest.Store(next)
	return nil
}
