// Package remote asks servers that may be away. Its callers wait no longer than they want, and not
// at all for a server that has not answered lately.
package remote

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/seed-7410fe32/sluice/worker/store"
)

// Server is a server, or a group of servers whose client chooses one. Any goroutine may use it.
type Server struct {
	name    string
	circuit circuit
	running chan struct{} // has an element for each command that runs; bound: commands of a worker at a store
	closed  chan struct{}
	closing sync.Once
}

var (
	errSlow   = errors.New("no answer in time")
	errPaused = errors.New("it has not answered lately")
	errClosed = errors.New("the store is closed")
)

// New returns a server that runs a number of commands at once; others wait. name is for errors.
func New(name string, commands int) *Server {
	return &Server{name: name, running: make(chan struct{}, commands), closed: make(chan struct{})}
}

// Within returns a context that ends after the time that a server may take.
func Within(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, timeout, errSlow)
}

// Ask runs a command, on a goroutine of its own, and returns its result. It returns earlier when
// ctx, which is one of Within, ends. The command may then run on, so it must not use what the
// caller owns. An error of the command is returned as it is. ErrUnavailable among them means that
// the server is away; after any other it works.
func Ask[T any](ctx context.Context, s *Server, command func(context.Context) (T, error)) (T, error) {
	var none T
	if ctx.Err() != nil {
		return none, s.ended(ctx)
	}
	if !s.circuit.allow() {
		return none, s.Away(errPaused)
	}
	select {
	case <-s.closed:
		s.circuit.report(abandoned)
		return none, s.Away(errClosed)
	case s.running <- struct{}{}:
	case <-ctx.Done():
		return none, s.late(ctx)
	}
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		value, err := command(ctx)
		<-s.running
		answers <- answer{value, err}
	}()
	select {
	case a := <-answers:
		switch {
		case ctx.Err() != nil && a.err != nil: // the command has noticed that first
			return none, s.late(ctx)
		case errors.Is(a.err, store.ErrUnavailable):
			s.circuit.report(failed)
		default:
			s.circuit.report(answered)
		}
		return a.value, a.err
	case <-ctx.Done():
		return none, s.late(ctx)
	}
}

// late reports a command that ctx has ended, and returns the error for it.
func (s *Server) late(ctx context.Context) error {
	if errors.Is(context.Cause(ctx), errSlow) {
		s.circuit.report(failed)
	} else {
		s.circuit.report(abandoned)
	}
	return s.ended(ctx)
}

func (s *Server) ended(ctx context.Context) error {
	if errors.Is(context.Cause(ctx), errSlow) {
		return s.Away(errSlow)
	}
	return ctx.Err()
}

// Away returns ErrUnavailable with the name of the server and the reason.
func (s *Server) Away(why error) error {
	return fmt.Errorf("%w: %s: %w", store.ErrUnavailable, s.name, why)
}

// Stats returns the figures.
func (s *Server) Stats() Stats { return s.circuit.figures() }

// Close waits until no command runs and calls release, the first time. Later commands fail.
func (s *Server) Close(release func()) {
	s.closing.Do(func() {
		close(s.closed)
		for range cap(s.running) {
			s.running <- struct{}{} // stays
		}
		release()
	})
}
