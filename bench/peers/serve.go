package main

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"sync"
)

// isBroadcast reports whether p goes to all clients. Every other message goes back to its sender.
func isBroadcast(p []byte) bool { return len(p) > 0 && p[0] == 'b' }

// serveCommand is "peers serve NAME": one server, until ctx ends.
func serveCommand(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("%w: serve needs a name", errUsage)
	}
	f := flag.NewFlagSet("serve", flag.ContinueOnError)
	listen := f.String("listen", "127.0.0.1:0", "address to listen on")
	loops := f.String("loops", "auto", "event loops, for servers that have them")
	if err := f.Parse(args[1:]); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	n, err := parseLoops(*loops)
	if err != nil {
		return err
	}
	for _, p := range peers() {
		if p.name == args[0] && p.serve != nil {
			ready := func(a net.Addr) { fmt.Printf("ready %s://%s\n", p.codec, a) }
			return p.serve(ctx, site{listen: *listen, loops: n, ready: ready})
		}
	}
	return fmt.Errorf("%w: there is no server %q", errUsage, args[0])
}

// parseLoops parses a number of event loops. auto has the meaning that it has for sluice's gateway.
func parseLoops(s string) (int, error) {
	if s == "auto" {
		return runtime.GOMAXPROCS(0), nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%w: loops: %q: must be auto or at least 1", errUsage, s)
	}
	return n, nil
}

// until runs serve until it fails or ctx ends, and then stop.
func until(ctx context.Context, serve, stop func() error) error {
	ended := make(chan error, 1)
	go func() { ended <- serve() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return stop()
	}
}

// serveHTTP serves h until ctx ends. Connections that h has hijacked end with the process.
func serveHTTP(ctx context.Context, s site, h http.HandlerFunc) error {
	ln, err := net.Listen("tcp", s.listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: h}
	s.ready(ln.Addr())
	return until(ctx, func() error { return server.Serve(ln) }, server.Close)
}

// everybody is the set of all connections, for libraries that have none.
type everybody[C comparable] struct {
	mu  sync.RWMutex
	all map[C]struct{} // guarded by mu
}

func (e *everybody[C]) add(c C) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.all == nil {
		e.all = make(map[C]struct{})
	}
	e.all[c] = struct{}{}
}

func (e *everybody[C]) remove(c C) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.all, c)
}

// each calls f for all. f must not call add or remove.
func (e *everybody[C]) each(f func(C)) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for c := range e.all {
		f(c)
	}
}
