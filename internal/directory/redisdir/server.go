package redisdir

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-7410fe32/sluice/internal/directory"
	"github.com/seed-7410fe32/sluice/internal/redisurl"
)

// server is the Redis of a Directory. Its keeper is a goroutine that connects, and looks whether it
// answers and which data it has.
type server struct {
	// Static after newServer.
	cfg    Config
	target redisurl.Target
	marks  []string // keys of the generation
	ctx    context.Context
	cancel context.CancelFunc
	ended  sync.WaitGroup
	failed chan struct{} // wakes the keeper after a call that failed; bound: none, one place

	client atomic.Pointer[rueidis.Client] // nil while there is none; set by the keeper

	commands, errors, refused, outages, generations atomic.Uint64

	mu      sync.Mutex
	state   directory.State // without Err
	why     error           // why it is not up
	refusal string          // what the server has said in its last answer, if that was an error
	changed chan struct{}   // closed at the next change of state
}

func newServer(cfg Config, t redisurl.Target) *server {
	s := &server{
		cfg: cfg, target: t, marks: marks(cfg.Prefix, t.Cluster), failed: make(chan struct{}, 1),
		changed: make(chan struct{}), state: directory.State{Since: time.Now()},
		why: errors.New("no answer yet"),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

func (s *server) close() {
	s.cancel()
	s.ended.Wait()
	s.down(errClosed)
}

// down says that the server does not answer, and why.
func (s *server) down(why error) {
	s.mu.Lock()
	generation := s.state.Generation
	s.mu.Unlock()
	s.set(directory.State{Generation: generation}, why)
}

// set changes the state, of which Since is kept while Up does not change.
func (s *server) set(now directory.State, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now.Since = s.state.Since
	if now.Up != s.state.Up {
		now.Since = time.Now()
	}
	before := s.state
	s.state, s.why = now, why
	if refusal := refusalOf(why); refusal != s.refusal {
		if s.refusal = refusal; refusal != "" && !before.Up {
			s.cfg.Logger.Warn("directory answers with an error", "err", refusal)
		}
	}
	if now == before {
		return
	}
	close(s.changed)
	s.changed = make(chan struct{})
	switch {
	case now.Up && !before.Up && before.Generation == "":
		s.cfg.Logger.Info("directory reached", "generation", now.Generation)
	case now.Up && !before.Up:
		s.cfg.Logger.Info("directory answers again", "outage", time.Since(before.Since).Round(time.Millisecond))
	case before.Up && !now.Up && !errors.Is(why, errClosed):
		s.outages.Add(1)
		s.cfg.Logger.Warn("directory does not answer", "err", why)
	}
	if before.Generation != "" && now.Generation != before.Generation {
		s.generations.Add(1)
		s.cfg.Logger.Warn("directory may have lost data", "generation", now.Generation, "before", before.Generation)
	}
}

// refusalOf returns what the server has said, if an error came from there. It is empty if there was
// no answer.
func refusalOf(err error) string {
	var reply *rueidis.RedisError
	if !errors.As(err, &reply) {
		return ""
	}
	return reply.Error()
}

// up returns the client, or an error if the directory is not up.
func (s *server) up() (rueidis.Client, error) {
	s.mu.Lock()
	up, why := s.state.Up, s.why
	s.mu.Unlock()
	client := s.client.Load()
	switch {
	case s.ctx.Err() != nil:
		s.refused.Add(1)
		return nil, errClosed
	case !up || client == nil:
		s.refused.Add(1)
		return nil, fmt.Errorf("%w: %w", directory.ErrUnavailable, why)
	}
	return *client, nil
}

// bounded returns a context for one call.
func (s *server) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	stop := context.AfterFunc(s.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}
