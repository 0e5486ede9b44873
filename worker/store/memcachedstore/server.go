package memcachedstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/bradfitz/gomemcache/memcache"

	"github.com/seed-7410fe32/sluice/worker/store"
	"github.com/seed-7410fe32/sluice/worker/store/internal/remote"
)

// server is one memcached. It is static after newServer.
type server struct {
	addr   string
	hash   uint64 // of addr
	client *memcache.Client
	*remote.Server
}

// retry says whether a command may be sent again, after a connection that has failed.
type retry bool

const (
	idempotent retry = true
	once       retry = false
)

func newServer(addr string, cfg Config) *server {
	client := memcache.NewFromSelector(only(addr))
	client.Timeout = cfg.Timeout
	client.MaxIdleConns = cfg.MaxConns
	return &server{addr, hash(addr), client, remote.New("memcached "+addr, cfg.MaxConns)}
}

// only is a selector with one server, and the address of that. The name is resolved for each
// connection.
type only string

func (a only) PickServer(string) (net.Addr, error) { return a, nil }
func (a only) Each(f func(net.Addr) error) error   { return f(a) }
func (a only) Network() string                     { return "tcp" }
func (a only) String() string                      { return string(a) }

// ask runs a command with a client of the server. Results of memcached are returned as they are,
// other errors as those of package store.
func ask[T any](ctx context.Context, s *server, may retry, command func(*memcache.Client) (T, error)) (T, error) {
	return remote.Ask(ctx, s.Server, func(context.Context) (T, error) {
		value, err := command(s.client)
		if lost(err) {
			_ = s.client.Close() // the other idle connections are lost, too
			if may == idempotent {
				value, err = command(s.client)
			}
		}
		return value, s.translate(err)
	})
}

// lost reports whether a connection has ended, as all do when the server is started anew.
func lost(err error) bool {
	if err == nil || answered(err) {
		return false
	}
	failed, is := errors.AsType[net.Error](err)
	return !is || !failed.Timeout()
}

// answered reports whether err is an answer of the server.
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

// translate returns the error of package store for that of a command.
func (s *server) translate(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for part, as := range map[string]error{
		"object too large": store.ErrTooBig, "out of memory storing": store.ErrFull, "non-numeric value": store.ErrCounter,
	} {
		if strings.Contains(text, part) {
			return fmt.Errorf("%w: memcached %s: %w", as, s.addr, err)
		}
	}
	if !answered(err) || strings.Contains(text, "_ERROR") || strings.Contains(text, "client error") {
		return s.Away(err)
	}
	return err
}

// close waits for the commands that run and closes all connections.
func (s *server) close() { s.Close(func() { _ = s.client.Close() }) }
