package directory_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/seed-7410fe32/sluice/directory"
	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/leaktest"
	"github.com/seed-7410fe32/sluice/internal/proctest"
	"github.com/seed-7410fe32/sluice/internal/redistest"
	"github.com/seed-7410fe32/sluice/worker"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// A program that embeds gateways and workers uses the directory with public packages only. A
// gateway that starts later is found.
func TestEmbedded(t *testing.T) {
	t.Parallel()
	r := redistest.Start(t)
	log := slog.New(slog.DiscardHandler)
	open := func() *directory.Directory {
		d, err := directory.Open(directory.Config{URL: "redis://" + r.Addr, Prefix: "mine", Logger: log})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(d.Close)
		return d
	}
	// run runs something until the end of the test.
	run := func(f func(context.Context) error) {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- f(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	start := func() *gateway.Gateway {
		g, err := gateway.New(gateway.Config{
			Directory: open(), Logger: log, Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		run(g.Run)
		<-g.Ready()
		return g
	}
	first := start()
	echo := worker.Handler{Message: func(_ context.Context, c worker.Call, m worker.Message) error {
		c.Send(m)
		return nil
	}}
	w, err := worker.New(worker.Config{Discover: open().Gateways(), Logger: log}, echo)
	if err != nil {
		t.Fatal(err)
	}
	run(w.Run)
	for _, g := range []*gateway.Gateway{first, start()} {
		conn := proctest.Dial(t, strings.TrimPrefix(g.Addrs()[0], "text://"))
		proctest.Echoes(t, conn, "hello")
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	if s := w.Stats(); s.Gateways != 2 {
		t.Errorf("%d gateways", s.Gateways)
	}
}

// What Open would refuse, Check refuses, without a connection.
func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for _, cfg := range []directory.Config{
		{}, {URL: "http://127.0.0.1"}, {URL: "redis://127.0.0.1", PasswordFile: "/nonexistent"},
	} {
		if err := cfg.Check(); err == nil {
			t.Errorf("%+v is accepted", cfg)
		}
		if d, err := directory.Open(cfg); err == nil {
			d.Close()
			t.Errorf("%+v is opened", cfg)
		}
	}
	good := directory.Config{URL: "redis://127.0.0.1:1"}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
}
