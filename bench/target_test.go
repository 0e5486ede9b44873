package bench_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/codec"
)

// URL, headers and lines of a file arrive at the server, different for each connection.
func TestTargetURL(t *testing.T) {
	t.Parallel()
	type visit struct{ target, host, token, protocol string }
	var mu sync.Mutex
	var seen []visit
	addr := serve(t, func(nc net.Conn) {
		g, err := admit(nc, bench.WebSocket, &codec.UpgradeOptions{Subprotocols: []string{"b"}})
		if err != nil {
			return // a probe
		}
		mu.Lock()
		seen = append(seen, visit{
			g.request.Target, g.request.Header("Host"), g.request.Header("Authorization"),
			g.wire.(*codec.WebSocket).Subprotocol(),
		})
		mu.Unlock()
		for err == nil {
			err = echo(g)
		}
	})
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	run(t, short(bench.Options{
		Targets:   []string{"WS://Peer.example:" + port + "/chat/{conn}?token={line}&v=1"},
		Addresses: map[string][]string{"Peer.example": {"127.0.0.1"}},
		Headers:   []string{"Authorization: Bearer {line}", "X-Static:  y "}, Subprotocols: []string{"a", "b"},
		Data: file(t, "to/ken&0\r\nto ken1\ntoken2\n"),
	}))
	mu.Lock()
	defer mu.Unlock()
	if len(seen) != 40 {
		t.Fatalf("%d connections", len(seen))
	}
	for i := range 40 {
		plain := []string{"to/ken&0", "to ken1", "token2"}[i%3]
		escaped := []string{"to%2Fken%260", "to%20ken1", "token2"}[i%3]
		want := visit{fmt.Sprintf("/chat/%d?token=%s&v=1", i, escaped), "Peer.example:" + port, "Bearer " + plain, "b"}
		if !slices.Contains(seen, want) {
			t.Errorf("connection %d: no %+v in %+v", i, want, seen)
		}
	}
}

// A server that chooses none of the subprotocols is an error.
func TestSubprotocolMissing(t *testing.T) {
	t.Parallel()
	addr := host(t, bench.WebSocket, echo)
	_, err := bench.Run(t.Context(),
		short(bench.Options{Targets: []string{addr}, Subprotocols: []string{"chat", "talk"}}), nil)
	if err == nil || !strings.Contains(err.Error(), "none of the subprotocols chat, talk") {
		t.Error(err)
	}
}

// Connections are spread over all addresses of a name. One that accepts no
// connection is left out and reported.
func TestTargetAddresses(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	count := make(map[string]int)
	handle := func(nc net.Conn) {
		g, err := admit(nc, bench.Text, nil)
		for first := true; err == nil; first = false {
			if err = echo(g); err == nil && first { // no probe
				mu.Lock()
				count[nc.LocalAddr().(*net.TCPAddr).IP.String()]++
				mu.Unlock()
			}
		}
	}
	port := ""
	for range 10 { // the port may be taken on the other address
		first, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, p, _ := net.SplitHostPort(first.Addr().String())
		second, err := net.Listen("tcp", "127.0.0.2:"+p)
		if err != nil {
			_ = first.Close()
			continue
		}
		serveOn(t, first, handle)
		serveOn(t, second, handle)
		port = p
		break
	}
	if port == "" {
		t.Fatal("no port is free on both addresses")
	}
	r := run(t, short(bench.Options{
		Targets:   []string{"tcp://many.example:" + port},
		Addresses: map[string][]string{"many.example": {"127.0.0.1", "127.0.0.3", "127.0.0.2"}},
	}))
	mu.Lock()
	defer mu.Unlock()
	if r.Options.Codec != bench.Text || count["127.0.0.1"] != 20 || count["127.0.0.2"] != 20 {
		t.Errorf("over %s: %v", r.Options.Codec, count)
	}
	if len(r.Unreachable) != 1 || !strings.Contains(r.Unreachable[0], "127.0.0.3:"+port) ||
		!slices.Contains(r.Verdict.Reasons, r.Unreachable[0]) {
		t.Errorf("%q, %q", r.Unreachable, r.Verdict.Reasons)
	}
	_, err := bench.Run(t.Context(), short(bench.Options{
		Targets:   []string{"tcp://none.example:" + port},
		Addresses: map[string][]string{"none.example": {"127.0.0.4", "127.0.0.3"}},
	}), nil)
	if err == nil || !strings.Contains(err.Error(), "127.0.0.3:"+port) ||
		!strings.Contains(err.Error(), "127.0.0.4:"+port) {
		t.Errorf("nobody is there: %v", err)
	}
}

// serveOn is serve on a listener, which it closes.
func serveOn(t *testing.T, l net.Listener, handle func(net.Conn)) {
	var all sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	all.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer func() { _ = nc.Close() }()
				handle(nc)
			})
		}
	})
}

// Bad options are refused before anything is dialled.
func TestTargetRefuses(t *testing.T) {
	t.Parallel()
	const there = "ws://127.0.0.1:1"
	for name, o := range map[string]bench.Options{
		"no port":           {Targets: []string{"tcp://127.0.0.1"}},
		"port":              {Targets: []string{"ws://127.0.0.1:70000"}},
		"no host":           {Targets: []string{"ws://:9000"}},
		"user":              {Targets: []string{"ws://ann:secret@127.0.0.1:1"}},
		"fragment":          {Targets: []string{there + "/#top"}},
		"scheme":            {Targets: []string{"http://127.0.0.1:1"}},
		"codec":             {Targets: []string{there}, Codec: bench.Text},
		"tcp codec":         {Targets: []string{"tcp://127.0.0.1:1"}, Codec: bench.WebSocket},
		"two schemes":       {Targets: []string{there, "tcp://127.0.0.1:1"}},
		"tcp path":          {Targets: []string{"tcp://127.0.0.1:1/x"}},
		"two paths":         {Targets: []string{there + "/x"}, Path: "/y"},
		"space":             {Targets: []string{there + "/a b"}},
		"path":              {Targets: []string{there}, Path: "x"},
		"placeholder":       {Targets: []string{there + "/{who}"}},
		"seq in path":       {Targets: []string{there + "/{seq}"}},
		"header":            {Targets: []string{there}, Headers: []string{"no colon"}},
		"header name":       {Targets: []string{there}, Headers: []string{"a b: c"}},
		"header break":      {Targets: []string{there}, Headers: []string{"a: b\r\nc: d"}},
		"handshake's own":   {Targets: []string{there}, Headers: []string{"sec-websocket-key: x"}},
		"header of nothing": {Targets: []string{there}, Headers: []string{"Host:"}},
		"host":              {Targets: []string{there}, Headers: []string{"Host: {seq}"}},
		"header of text":    {Targets: []string{"tcp://127.0.0.1:1"}, Headers: []string{"a: b"}},
		"line without data": {Targets: []string{there}, Headers: []string{"a: {line}"}},
		"no data":           {Targets: []string{there}, Data: "/nowhere/data"},
		"useless data":      {Targets: []string{there}, Data: file(t, "x")},
		"empty data":        {Targets: []string{there}, Data: file(t, "")},
		"subprotocol":       {Targets: []string{there}, Subprotocols: []string{"a b"}},
		"CA":                {Targets: []string{"wss://127.0.0.1:1"}, TLS: bench.TLS{CA: file(t, "nothing")}},
		"TLS without":       {Targets: []string{there}, TLS: bench.TLS{Insecure: true}},
		"source":            {Targets: []string{there}, Sources: []string{"here"}},
		"source range":      {Targets: []string{there}, Sources: []string{"127.0.0.9-127.0.0.1"}},
		"source prefix":     {Targets: []string{there}, Sources: []string{"10.0.0.0/8"}},
	} {
		_, err := bench.Run(t.Context(), o, nil)
		if !errors.Is(err, bench.ErrOptions) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Without a trusted certificate, or with another name, there is no connection. With both, messages
// of all kinds of codec arrive, on long-lived and short-lived connections.
func TestTLS(t *testing.T) {
	t.Parallel()
	server, ca := certificate(t)
	ws, text := "wss://"+tlsPeer(t, server, bench.WebSocket, echo)+"/", "tls://"+tlsPeer(t, server, bench.Text, echo)
	t.Run("echo", func(t *testing.T) {
		t.Parallel()
		r := run(t, few(bench.Options{Targets: []string{ws}, TLS: bench.TLS{CA: ca}, InFlight: 4}))
		if r.Messages == 0 || r.Own.CoresLimit != float64(r.Options.Loops*r.Options.Processes) {
			t.Errorf("%d messages, and %v cores are the limit", r.Messages, r.Own.CoresLimit)
		}
	})
	t.Run("churn", func(t *testing.T) {
		t.Parallel()
		r := run(t, few(bench.Options{
			Mode: bench.Churn, PerConn: 3, Targets: []string{text}, TLS: bench.TLS{Insecure: true},
		}))
		if r.Messages == 0 || r.Options.Codec != bench.Text {
			t.Errorf("%d messages over %s", r.Messages, r.Options.Codec)
		}
	})
	t.Run("net/http", func(t *testing.T) { // another make's TLS and WebSocket, with a protocol of its own
		t.Parallel()
		s := httptest.NewTLSServer(strangerHandler("welcome"))
		t.Cleanup(s.Close)
		e := stranger
		r := run(t, few(bench.Options{
			Targets: []string{"wss" + strings.TrimPrefix(s.URL, "https")}, TLS: bench.TLS{Insecure: true}, Envelope: &e,
			InFlight: 4,
		}))
		if r.Messages == 0 {
			t.Error("no messages")
		}
	})
	for name, o := range map[string]bench.TLS{"unknown": {}, "another name": {CA: ca, ServerName: "other.example"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := bench.Run(t.Context(), few(bench.Options{Targets: []string{ws}, TLS: o}), nil)
			if err == nil || !strings.Contains(err.Error(), "tls: ") || !strings.Contains(err.Error(), ws) {
				t.Error(err)
			}
		})
	}
	t.Run("connect", func(t *testing.T) {
		t.Parallel()
		ctx, enough := context.WithCancel(t.Context())
		defer enough()
		r, err := bench.Run(ctx, bench.Options{
			Mode: bench.Connect, Conns: 1, Targets: []string{ws}, Warmup: -1, Window: time.Minute, Drain: -1,
		}, func(m bench.Interval) {
			if m.Errors > 0 {
				enough()
			}
		})
		if r == nil || len(r.Errors) == 0 || r.Errors[0].Kind != "tls" || !r.Verdict.Failed {
			t.Errorf("%v, %+v", err, r)
		}
	})
}

// A server that accepts and never answers the TLS handshake: each connection is counted.
func TestTLSSilent(t *testing.T) {
	t.Parallel()
	const conns = 3
	for _, mode := range []bench.Mode{bench.Connect, bench.Churn} {
		r, err := bench.Run(t.Context(), bench.Options{
			Mode: mode, Codec: bench.Text, Conns: conns, Targets: []string{"tls://" + serve(t, func(net.Conn) {})},
			TLS: bench.TLS{Insecure: true}, Warmup: -1, Window: 200 * time.Millisecond, Drain: 50 * time.Millisecond,
		}, nil)
		if err != nil || r.Audit.Unanswered != conns || !r.Verdict.Failed {
			t.Errorf("%s: %v, %+v", mode, err, r)
		}
	}
}

// A name without an address, and a local address of another machine, are reported.
func TestTargetUnknown(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := bench.Run(ctx, bench.Options{Targets: []string{"tcp://nobody.invalid:1"}}, nil)
	if err == nil || !strings.Contains(err.Error(), "nobody.invalid") || errors.Is(err, bench.ErrOptions) {
		t.Error(err)
	}
	_, err = bench.Run(ctx, bench.Options{
		Targets: []string{host(t, bench.WebSocket, echo)}, Sources: []string{"192.0.2.1-192.0.2.2"},
	}, nil)
	if err == nil || !strings.Contains(err.Error(), "this machine has no such address") {
		t.Error(err)
	}
}
