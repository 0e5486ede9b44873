// Package redisstore is the driver of package store for Redis 6.0 and later, and Valkey: for one
// server, for one that Sentinel watches, and for a Cluster.
//
// A value is a string of Redis that begins with a byte 1 and the eight bytes of its version, which
// the writer has chosen at random. Comparisons run in the server, as Lua scripts on one key.
// Commands of several goroutines share connections, and go to the server together (pipelining).
//
// A server with a maxmemory evicts keys, as its policy says: choose one of the policies allkeys-*,
// or volatile-*, since each key has a time to live. With noeviction it returns store.ErrFull
// instead.
//
// A fail-over loses what the former primary had not sent to its replica. Then a key has an older
// value, with the version that this value had.
//
// A user of an access list (ACL) needs keys PREFIX* and the commands get, set, del, getrange, eval,
// evalsha, hello, auth, ping, client and cluster|slots, and for Sentinel nothing more: the
// Sentinels are asked without a password.
package redisstore

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-7410fe32/sluice/internal/redisurl"
	"github.com/seed-7410fe32/sluice/internal/valid"
	"github.com/seed-7410fe32/sluice/worker/store"
	"github.com/seed-7410fe32/sluice/worker/store/internal/remote"
)

// Config configures a Store.
type Config struct {
	// URL says where the servers are. Required. One of
	//
	//	redis://USER:PASSWORD@HOST:PORT/DATABASE
	//	redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/NAME/DATABASE
	//	redis+cluster://USER:PASSWORD@HOST:PORT,HOST:PORT
	//
	// USER:PASSWORD, PORT and DATABASE may be missing. NAME is that of the primary which the
	// Sentinels watch; they themselves get ?sentinel_user=USER&sentinel_password=PASSWORD. One node
	// of a Cluster is enough if it is there at the start. With rediss connections have TLS.
	URL string
	// TLS is the configuration for a URL with rediss. Defaults to one with the certificates of the
	// system.
	TLS *tls.Config
	// Prefix is the beginning of all keys in the server, at most 64 bytes, without braces. Defaults
	// to "sluice:store:".
	Prefix string
	// TTL is the longest time that a value is available after it was set, and the time for a ttl of
	// 0. At most 28 days (store.MaxTTL). Defaults to 7 days.
	TTL time.Duration
	// Timeout is how long a call may take, with all its keys. Defaults to 500 ms.
	Timeout time.Duration
}

// Store is a store.Store in Redis. It connects when it is used first, and again when the server is
// back.
type Store struct {
	cfg          Config
	option       rueidis.ClientOption // static after New
	server       *remote.Server
	scripts      scripts // static after New
	hits, misses atomic.Uint64

	mu     sync.Mutex     // held while a client is made
	client rueidis.Client // guarded by mu: nil before the server has been reached
}

var _ store.Store = (*Store)(nil)

// Stats are the counters and gauges of a Store. Counters count from New.
type Stats struct {
	Hits     uint64
	Misses   uint64
	Away     bool   // the server has not answered lately
	Failures uint64 // commands that it has not answered
	Rejected uint64 // commands that were not sent because it was away
}

// commands is how many commands of a Store run at once. Further ones wait.
const commands = 4096

// New returns a store. It fails only if the Config is wrong: a server that is away may come later.
// Close it when it is not used any more.
func New(cfg Config) (*Store, error) {
	if field, err := valid.Numbers(cfg); err != nil {
		return nil, fmt.Errorf("redisstore: Config.%s: %w", field, err)
	}
	cfg.Prefix = cmp.Or(cfg.Prefix, "sluice:store:")
	cfg.TTL = cmp.Or(cfg.TTL, 7*24*time.Hour)
	cfg.Timeout = cmp.Or(cfg.Timeout, 500*time.Millisecond)
	if len(cfg.Prefix) > 64 || strings.ContainsAny(cfg.Prefix, "{}") {
		return nil, fmt.Errorf("redisstore: Config.Prefix: %q: must have 64 bytes at most, and no braces", cfg.Prefix)
	}
	if cfg.TTL > store.MaxTTL {
		return nil, fmt.Errorf("redisstore: Config.TTL: %v: must be at most 28 days", cfg.TTL)
	}
	target, err := redisurl.Parse(cfg.URL)
	if err != nil {
		return nil, fmt.Errorf("redisstore: Config.URL: %w", err)
	}
	if cfg.TLS != nil && !target.TLS {
		return nil, errors.New("redisstore: Config.TLS: needs a URL that begins with rediss")
	}
	option := target.Option(cfg.Timeout, cfg.TLS)
	return &Store{
		cfg: cfg, option: option, scripts: newScripts(),
		server: remote.New("redis "+strings.Join(option.InitAddress, " "), commands),
	}, nil
}

// Close closes all connections. It waits for commands that run, a few times the Timeout at most.
// Later calls return ErrUnavailable.
func (s *Store) Close() {
	s.server.Close(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.client != nil {
			s.client.Close()
		}
	})
}

// Stats returns the present figures.
func (s *Store) Stats() Stats {
	of := s.server.Stats()
	return Stats{s.hits.Load(), s.misses.Load(), of.Away, of.Failures, of.Rejected}
}

// MaxValue returns store.MaxValue.
func (s *Store) MaxValue(string) int { return store.MaxValue }

// Get returns the value of key and its version.
func (s *Store) Get(ctx context.Context, key string) ([]byte, store.Version, error) {
	if err := store.Check(key, 0, 0); err != nil {
		return nil, 0, err
	}
	has, err := ask(ctx, s, func(ctx context.Context, c rueidis.Client) (entry, error) {
		return s.read(c.Do(ctx, c.B().Get().Key(s.cfg.Prefix+key).Build()))
	})
	if err != nil {
		return nil, 0, err
	}
	if has.version == 0 {
		s.misses.Add(1)
	} else {
		s.hits.Add(1)
	}
	return has.value, has.version, nil
}

// Set sets the value of key.
func (s *Store) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := store.Check(key, len(value), ttl); err != nil {
		return err
	}
	written := encode(value)
	_, err := ask(ctx, s, func(ctx context.Context, c rueidis.Client) (none struct{}, err error) {
		set := c.B().Set().Key(s.cfg.Prefix + key).Value(written).PxMilliseconds(s.life(ttl)).Build()
		return none, s.translate(c.Do(ctx, set).Error())
	})
	return err
}

// Add sets the value of key if it has none.
func (s *Store) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (bool, error) {
	if err := store.Check(key, len(value), ttl); err != nil {
		return false, err
	}
	written := encode(value)
	return ask(ctx, s, func(ctx context.Context, c rueidis.Client) (bool, error) {
		err := c.Do(ctx, c.B().Set().Key(s.cfg.Prefix+key).Value(written).Nx().PxMilliseconds(s.life(ttl)).Build()).Error()
		if rueidis.IsRedisNil(err) {
			return false, nil
		}
		return err == nil, s.translate(err)
	})
}

// CompareAndSet sets the value of key if it still has the version.
func (s *Store) CompareAndSet(ctx context.Context, key string, v store.Version, value []byte,
	ttl time.Duration) (bool, error) {
	if v == 0 {
		return s.Add(ctx, key, value, ttl)
	}
	if err := store.Check(key, len(value), ttl); err != nil {
		return false, err
	}
	return s.run(ctx, s.scripts.set, key, head(v), encode(value), fmt.Sprint(s.life(ttl)))
}

// CompareAndDelete removes key if it still has the version.
func (s *Store) CompareAndDelete(ctx context.Context, key string, v store.Version) (bool, error) {
	if err := cmp.Or(ctx.Err(), store.Check(key, 0, 0)); v == 0 || err != nil {
		return false, err
	}
	return s.run(ctx, s.scripts.remove, key, head(v))
}

// run runs a script that returns whether it has done something.
func (s *Store) run(ctx context.Context, script *rueidis.Lua, key string, args ...string) (bool, error) {
	return ask(ctx, s, func(ctx context.Context, c rueidis.Client) (bool, error) {
		done, err := script.Exec(ctx, c, []string{s.cfg.Prefix + key}, args).AsInt64()
		return done == 1, s.translate(err)
	})
}

// Increment adds delta to a counter and returns the sum.
func (s *Store) Increment(ctx context.Context, key string, delta uint32, ttl time.Duration) (uint64, error) {
	if err := store.Check(key, 0, ttl); err != nil {
		return 0, err
	}
	written := encode(nil)
	return ask(ctx, s, func(ctx context.Context, c rueidis.Client) (uint64, error) {
		sum, err := s.scripts.add.Exec(ctx, c, []string{s.cfg.Prefix + key},
			[]string{written, fmt.Sprint(delta), fmt.Sprint(s.life(ttl))}).AsInt64()
		switch {
		case err != nil:
			return 0, s.translate(err)
		case sum == notMine:
			return 0, store.ErrForeign
		case sum < 0:
			return 0, store.ErrCounter
		}
		return uint64(sum), nil
	})
}

// life returns a time to live in milliseconds.
func (s *Store) life(ttl time.Duration) int64 {
	return int64((store.Life(ttl, s.cfg.TTL) + time.Millisecond - 1) / time.Millisecond)
}

// ask runs commands with a client.
func ask[T any](ctx context.Context, s *Store, command func(context.Context, rueidis.Client) (T, error)) (T, error) {
	ctx, cancel := remote.Within(ctx, s.cfg.Timeout)
	defer cancel()
	return remote.Ask(ctx, s.server, func(ctx context.Context) (none T, err error) {
		c, err := s.connected(ctx)
		if err != nil {
			return none, s.server.Away(err)
		}
		return command(undated{ctx}, c)
	})
}

// undated is a context that ends without having said when. The client would give the deadline to
// its connection, which ends with it and takes the commands of others along.
type undated struct{ context.Context }

func (undated) Deadline() (time.Time, bool) { return time.Time{}, false }

// connected returns the client. It makes one, which connects, if there is none.
func (s *Store) connected(ctx context.Context) (rueidis.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil || ctx.Err() != nil { // whoever waited for the lock in vain does not try again
		return s.client, ctx.Err()
	}
	c, err := rueidis.NewClient(s.option)
	if err != nil {
		if c != nil {
			c.Close()
		}
		return nil, err
	}
	s.client = c
	return c, nil
}

// translate returns the error of package store for that of a command.
func (s *Store) translate(err error) error {
	if err == nil {
		return nil
	}
	if answer, ok := rueidis.IsRedisErr(err); ok {
		switch text := answer.Error(); {
		case strings.HasPrefix(text, "OOM "):
			return fmt.Errorf("%w: %w", store.ErrFull, err)
		case strings.Contains(text, "WRONGTYPE "):
			return fmt.Errorf("%w: %w", store.ErrForeign, err)
		}
	}
	return s.server.Away(err) // it starts, fails over, refuses this user, or the connection has ended
}
