package discover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/seed-7410fe32/sluice/internal/valid"
)

// DNSConfig configures a DNS. Only URLs is required.
type DNSConfig struct {
	// URLs are names that are looked up: dns://NAME:PORT or dns+srv://_SERVICE._PROTO.NAME. The list
	// has the addresses of the first one, sorted, then those of the next.
	URLs []string
	// Interval is the time between two lookups, of which a fifth is random. After the loss of a link
	// the next lookup is earlier. At least a second. Defaults to 5 s.
	Interval time.Duration
	// Timeout bounds a lookup. Defaults to 5 s.
	Timeout time.Duration
	// Resolver does the lookups. Defaults to net.DefaultResolver.
	Resolver *net.Resolver
	// Logger is the log. Defaults to slog.Default().
	Logger *slog.Logger
}

// minInterval is the shortest time between two lookups.
const minInterval = time.Second

func (c *DNSConfig) setDefaults() error {
	if field, err := valid.Numbers(c); err != nil {
		return fmt.Errorf("discover: DNSConfig.%s: %w", field, err)
	}
	if len(c.URLs) == 0 {
		return errors.New("discover: DNSConfig.URLs: must have at least one")
	}
	if c.Interval == 0 {
		c.Interval = 5 * time.Second
	}
	if c.Interval < minInterval {
		return fmt.Errorf("discover: DNSConfig.Interval: %v: must be at least %v", c.Interval, minInterval)
	}
	if c.Timeout == 0 {
		c.Timeout = 5 * time.Second
	}
	if c.Resolver == nil {
		c.Resolver = net.DefaultResolver
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return nil
}

// DNS is a worker.Resolver that looks names up again and again. A lookup that fails, or finds
// nothing, changes nothing: the addresses that were found before stay. Several workers may use it.
type DNS struct {
	// Static after NewDNS.
	cfg     DNSConfig
	sources []source // bound: none, of the configuration

	mu    sync.Mutex
	hints map[chan struct{}]bool // guarded by mu; bound: none, one for each Watch
}

// NewDNS checks cfg and returns a DNS. It looks nothing up; Watch does.
func NewDNS(cfg DNSConfig) (*DNS, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	d := &DNS{cfg: cfg, hints: make(map[chan struct{}]bool)}
	for _, url := range cfg.URLs {
		s, err := parse(url)
		if err != nil {
			return nil, fmt.Errorf("discover: DNSConfig.URLs: %w", err)
		}
		d.sources = append(d.sources, s)
	}
	return d, nil
}

// LinkLost implements worker.Resolver.
func (d *DNS) LinkLost() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for hint := range d.hints {
		select {
		case hint <- struct{}{}:
		default: // one is enough
		}
	}
}

// Watch implements worker.Resolver.
func (d *DNS) Watch(ctx context.Context, set func(addrs []string)) {
	hint := make(chan struct{}, 1)
	d.mu.Lock()
	d.hints[hint] = true
	d.mu.Unlock()
	defer func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.hints, hint)
	}()
	w := &watch{d: d, states: make([]state, len(d.sources))}
	var last []string
	soon := minInterval // until a lookup that a hint asks for; it doubles while the answers stay the same
	for ctx.Err() == nil {
		began := time.Now()
		addrs := w.lookUp(ctx)
		if len(addrs) > 0 && !slices.Equal(addrs, last) {
			set(slices.Clone(addrs))
			last, soon = addrs, minInterval
		}
		if await(ctx, began, hint, soon, jittered(d.cfg.Interval)) {
			soon = min(2*soon, d.cfg.Interval)
		}
	}
}

// jittered returns nine tenths of d, and up to a fifth of it at random.
func jittered(d time.Duration) time.Duration { return d - d/10 + rand.N(d/5) }

// await waits until late after began, or until soon after it if there is a hint. It reports whether
// there was one.
func await(ctx context.Context, began time.Time, hint <-chan struct{}, soon, late time.Duration) (hinted bool) {
	end := time.NewTimer(time.Until(began.Add(late)))
	defer end.Stop()
	select {
	case <-ctx.Done():
	case <-end.C:
	case <-hint:
		end.Reset(max(min(time.Until(began.Add(soon)), time.Until(began.Add(late))), 0))
		hinted = true
		select {
		case <-ctx.Done():
		case <-end.C:
		}
	}
	return hinted
}

// watch is a running Watch. Its goroutine owns it.
type watch struct {
	d      *DNS
	states []state // of the sources; bound: none, of the configuration
}

// state is what is known of a source.
type state struct {
	addrs   []string // the last answer; bound: gateways that a worker knows
	failing bool
}

// lookUp looks all names up at once, and returns all addresses that are known then.
func (w *watch) lookUp(ctx context.Context) (all []string) {
	ctx, cancel := context.WithTimeout(ctx, w.d.cfg.Timeout)
	defer cancel()
	var lookups sync.WaitGroup
	for i := range w.d.sources {
		lookups.Go(func() {
			addrs, err := w.d.sources[i].lookUp(ctx, w.d.cfg.Resolver)
			if !errors.Is(context.Cause(ctx), context.Canceled) {
				w.states[i].note(w.d, w.d.sources[i].url, addrs, err)
			}
		})
	}
	lookups.Wait()
	for i := range w.states {
		all = append(all, w.states[i].addrs...)
	}
	return all
}

// note records an answer. It logs the first failure of several, and their end.
func (s *state) note(d *DNS, url string, addrs []string, err error) {
	failed := len(addrs) == 0
	switch {
	case failed && !s.failing:
		d.cfg.Logger.Warn("gateways are not found by their name, those known before stay", "url", url, "err", err)
	case !failed && s.failing:
		d.cfg.Logger.Info("gateways are found by their name again", "url", url)
	}
	if s.failing = failed; !failed {
		s.addrs = addrs
	}
}
