package memcachedstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/seed-7410fe32/sluice/worker/store"
	"github.com/seed-7410fe32/sluice/worker/store/internal/circuit"
)

// server is one memcached.
type server struct {
	// Static after newServer.
	addr   string
	hash   uint64 // of addr
	client *memcache.Client
	conns  chan struct{} // has an element for each command that runs; bound: commands of a worker in memcached
	closed chan struct{}

	circuit circuit.Circuit
	closing sync.Once
}

// retry says whether a command may be sent again, after a connection that has failed.
type retry bool

const (
	idempotent retry = true
	once       retry = false
)

var (
	errSlow   = errors.New("no answer in time")
	errPaused = errors.New("it has not answered before")
	errClosed = errors.New("the store is closed")
)

func newServer(addr string, cfg Config) *server {
	client := memcache.NewFromSelector(only(addr))
	client.Timeout = cfg.Timeout
	client.MaxIdleConns = cfg.MaxConns
	return &server{
		addr: addr, hash: hash(addr), client: client,
		conns: make(chan struct{}, cfg.MaxConns), closed: make(chan struct{}),
	}
}

// only is a selector with one server, and the address of that. The name is resolved with each
// connection.
type only string

func (a only) PickServer(string) (net.Addr, error) { return a, nil }
func (a only) Each(f func(net.Addr) error) error   { return f(a) }
func (a only) Network() string                     { return "tcp" }
func (a only) String() string                      { return string(a) }

// ask runs a command at a server. It returns when ctx ends; the command may then run on, so it must
// not use what the caller owns. Results of memcached are returned as they are, other errors as those
// of package store.
func ask[T any](ctx context.Context, s *server, may retry, command func(*memcache.Client) (T, error)) (T, error) {
	var none T
	if ctx.Err() != nil {
		return none, s.ended(ctx)
	}
	if !s.circuit.Allow() {
		return none, s.away(errPaused)
	}
	select {
	case <-s.closed:
		s.circuit.Report(circuit.Abandoned)
		return none, s.away(errClosed)
	case s.conns <- struct{}{}:
	case <-ctx.Done():
		return none, s.late(ctx)
	}
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	go func() {
		value, err := command(s.client)
		if lost(err) {
			_ = s.client.Close() // the other idle connections are lost, too
			if may == idempotent {
				value, err = command(s.client)
			}
		}
		<-s.conns
		answers <- answer{value, err}
	}()
	select {
	case a := <-answers:
		err, works := s.translate(a.err)
		if works {
			s.circuit.Report(circuit.Answered)
		} else {
			s.circuit.Report(circuit.Failed)
		}
		return a.value, err
	case <-ctx.Done():
		return none, s.late(ctx)
	}
}

// late reports a command that ctx has ended.
func (s *server) late(ctx context.Context) error {
	if context.Cause(ctx) == errSlow { //nolint:errorlint // it is set by this package, as it is
		s.circuit.Report(circuit.Failed)
	} else {
		s.circuit.Report(circuit.Abandoned)
	}
	return s.ended(ctx)
}

// ended returns the error for a context that has ended.
func (s *server) ended(ctx context.Context) error {
	if context.Cause(ctx) == errSlow { //nolint:errorlint // it is set by this package, as it is
		return s.away(errSlow)
	}
	return ctx.Err()
}

func (s *server) away(why error) error {
	return fmt.Errorf("%w: memcached %s: %w", store.ErrUnavailable, s.addr, why)
}

// lost reports whether a connection has ended, as all do when the server is started anew.
func lost(err error) bool {
	if err == nil || answered(err) {
		return false
	}
	failed, is := errors.AsType[net.Error](err)
	return !is || !failed.Timeout()
}

// answered reports whether err is an answer of the server: it works.
func answered(err error) bool {
	for _, answer := range []error{memcache.ErrCacheMiss, memcache.ErrCASConflict, memcache.ErrNotStored,
		store.ErrCounter} {
		if errors.Is(err, answer) {
			return true
		}
	}
	// The client has no values for these.
	return strings.Contains(err.Error(), "SERVER_ERROR") || strings.Contains(err.Error(), "client error")
}

// translate returns the error of package store for that of a command. ok is true if the server
// works.
func (s *server) translate(err error) (as error, ok bool) {
	if err == nil {
		return nil, true
	}
	switch text := err.Error(); {
	case strings.Contains(text, "object too large"):
		return fmt.Errorf("%w: memcached %s: %w", store.ErrTooBig, s.addr, err), true
	case strings.Contains(text, "out of memory"):
		return fmt.Errorf("%w: memcached %s: %w", store.ErrFull, s.addr, err), true
	case strings.Contains(text, "non-numeric value"):
		return store.ErrCounter, true
	case strings.Contains(text, "SERVER_ERROR"), strings.Contains(text, "client error"), !answered(err):
		return s.away(err), answered(err)
	}
	return err, true
}

// close waits for the commands that run and closes all connections.
func (s *server) close() {
	s.closing.Do(func() {
		close(s.closed)
		for range cap(s.conns) {
			s.conns <- struct{}{} // stays, so that nothing runs any more
		}
		_ = s.client.Close()
	})
}
