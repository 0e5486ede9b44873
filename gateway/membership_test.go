package gateway_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/directory"
	"github.com/seed-7410fe32/sluice/internal/membership"
)

// rows returns a directory in memory.
func rows(t *testing.T) *directory.Memory {
	t.Helper()
	d, err := directory.NewMemory(directory.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// listed returns the gateways in a directory.
func listed(t *testing.T, d directory.Rows) (all []membership.Gateway) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	membership.Watch(ctx, d, func(gateways []membership.Gateway) {
		all = gateways
		cancel()
	}, func(err error) { t.Error(err) })
	return all
}

// A gateway is in the directory from when it listens until it has drained, with the address that
// others can use.
func TestGatewayInDirectory(t *testing.T) {
	t.Parallel()
	d := rows(t)
	cfg := text(gateway.ListenerConfig{})
	cfg.Directory, cfg.Name = d, "one"
	g1, stop := start(t, cfg)
	cfg.Name, cfg.WorkerAddr, cfg.Advertise = "two", "0.0.0.0:0", "gateway.example:2300"
	start(t, cfg)
	wait(t, "both", func() bool { return len(listed(t, d)) == 2 })
	for i, want := range []string{g1.WorkerAddr(), "gateway.example:2300"} {
		if got := listed(t, d)[i]; got.Addr != want || got.Draining || got.Epoch == 0 {
			t.Errorf("gateway %d: %+v", i, got)
		}
	}
	id, _ := g1.Control().Gateway()
	if got := listed(t, d)[0].ID; got != id {
		t.Errorf("id %d in the directory, %d at the gateway", got, id)
	}
	if s := g1.Stats().Directory; s.Up != 1 || s.Leased != 1 || s.Commands == 0 || isDown(g1) {
		t.Errorf("%+v", s)
	}
	stop()
	if got := listed(t, d); len(got) != 1 || got[0].Name != "two" {
		t.Errorf("the first one has ended: %+v", got)
	}
}

// What others cannot connect to is refused before anything runs.
func TestAdvertisedAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		inner, advertise string
		good             bool
	}{
		{"127.0.0.1:0", "", true},
		{"gateway.example:2300", "", true},
		{"0.0.0.0:2300", "10.0.0.1:2300", true},
		{":2300", "[2001:db8::1]:2300", true},
		{"0.0.0.0:2300", "", false},
		{"[::]:2300", "", false},
		{":2300", "", false},
		{"127.0.0.1:0", "0.0.0.0:2300", false},
		{"127.0.0.1:0", ":2300", false},
	} {
		cfg := text(gateway.ListenerConfig{})
		cfg.WorkerAddr, cfg.Advertise = c.inner, c.advertise
		if _, err := gateway.New(cfg); err != nil {
			t.Errorf("%q, %q without a directory: %v", c.inner, c.advertise, err)
		}
		cfg.Directory = rows(t)
		_, err := gateway.New(cfg)
		bad, isConfig := errors.AsType[*gateway.ConfigError](err)
		if (err == nil) != c.good || err != nil && (!isConfig || bad.Field != "Advertise") {
			t.Errorf("%q, %q: %v", c.inner, c.advertise, err)
		}
	}
}

// silent is a directory that does not answer.
type silent struct{ *directory.Memory }

func (silent) Claim(context.Context, string, string, time.Duration, []byte) (directory.Row, error) {
	return directory.Row{}, directory.ErrUnavailable
}

func (silent) State() directory.State { return directory.State{Since: time.Now()} }

// A gateway that waits for its id listens nowhere, and ends at once when it is to end.
func TestGatewayWaitsForItsID(t *testing.T) {
	t.Parallel()
	cfg := text(gateway.ListenerConfig{})
	cfg.Directory, cfg.Logger = silent{rows(t)}, slog.New(slog.DiscardHandler)
	g, err := gateway.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- g.Run(ctx) }()
	time.AfterFunc(50*time.Millisecond, cancel)
	select {
	case <-g.Ready():
		t.Error("it listens")
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	}
	if s := g.Stats().Directory; s.Up != 0 || s.Leased != 0 || !isDown(g) {
		t.Errorf("%+v", s)
	}
}

// A gateway whose id another one has taken drains, and says why.
func TestIDIsTaken(t *testing.T) {
	t.Parallel()
	d := rows(t)
	cfg := text(gateway.ListenerConfig{})
	cfg.Directory, cfg.ID, cfg.Logger = d, 77, slog.New(slog.DiscardHandler)
	g, err := gateway.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- g.Run(t.Context()) }()
	<-g.Ready()
	for stolen := false; !stolen; { // the gateway may be faster
		row, err := d.Get(t.Context(), "gateway/77")
		if err == nil {
			err = d.Release(t.Context(), row.Key, row.Owner, row.Epoch)
		}
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.Claim(t.Context(), row.Key, "thief", time.Minute, []byte("{}"))
		stolen = err == nil
	}
	if err := <-ended; !errors.Is(err, gateway.ErrIDTaken) {
		t.Errorf("%v", err)
	}
}

// If the gateway cannot listen, it frees its id.
func TestIDIsFreedAfterAFailure(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	d := rows(t)
	cfg := text(gateway.ListenerConfig{})
	cfg.Directory, cfg.ID, cfg.WorkerAddr, cfg.Logger = d, 77, ln.Addr().String(), slog.New(slog.DiscardHandler)
	g, err := gateway.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("%v", err)
	}
	if row, err := d.Get(t.Context(), "gateway/77"); err != nil || row.Owner != "" {
		t.Errorf("%+v, %v", row, err)
	}
}

// Gateways with one address name each other. The row that a gateway has left behind is not named.
func TestOneAddressOfTwoGateways(t *testing.T) {
	t.Parallel()
	d := rows(t)
	left := []byte(`{"addr":"gateway.example:2300"}`)
	if _, err := d.Claim(t.Context(), membership.Prefix+"77", "a crashed one", membership.Lease, left); err != nil {
		t.Fatal(err)
	}
	cfg := text(gateway.ListenerConfig{})
	cfg.Directory, cfg.WorkerAddr, cfg.Advertise = d, "127.0.0.1:0", "gateway.example:2300"
	var both [2]*gateway.Gateway
	for i := range both {
		both[i], _ = start(t, cfg)
	}
	cfg.Advertise = "other.example:2300"
	other, _ := start(t, cfg)
	for i, g := range both {
		id, _ := both[1-i].Control().Gateway()
		wait(t, "a gateway names the other one", func() bool {
			return slices.Contains(g.Control().SameAddress(), id)
		})
		if same := g.Control().SameAddress(); len(same) != 1 || g.Stats().GatewaysAtAddress != 1 {
			t.Errorf("gateway %d names %v", i, same)
		}
	}
	if same := other.Control().SameAddress(); len(same) > 0 {
		t.Errorf("one with an address of its own names %v", same)
	}
}

func isDown(g *gateway.Gateway) bool {
	since, _ := g.Control().DirectoryDown()
	return !since.IsZero()
}
