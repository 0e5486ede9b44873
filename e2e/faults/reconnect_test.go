package faults_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// returner is a client that reconnects whenever its connection ends, and then sends a message to
// be echoed.
type returner struct {
	name string
	addr string
	back chan<- time.Time // gets the time of each echo
}

// live connects again and again until ctx ends.
func (r *returner) live(ctx context.Context) {
	for ctx.Err() == nil {
		_ = r.visit(ctx) // it is tried again
		select {
		case <-ctx.Done():
		case <-time.After(rand.N(100 * time.Millisecond)): // all at about the same time, which is what is tested
		}
	}
}

var errNoEcho = errors.New("something else came back")

// visit is one connection, from its beginning to its end.
func (r *returner) visit(ctx context.Context) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", r.addr)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	key, o := codec.NewKey(), &codec.DialOptions{}
	if _, err := c.Write(codec.AppendUpgrade(nil, r.addr, "/", key, o)); err != nil {
		return err
	}
	var ws *codec.WebSocket
	var in []byte
	for buf := make([]byte, 1024); ; {
		n, err := c.Read(buf)
		if err != nil {
			return err
		}
		in = append(in, buf[:n]...)
		if ws == nil {
			var taken int
			if ws, taken, err = codec.ReadResponse(in, key, o); err != nil {
				return err
			}
			if taken == 0 {
				continue
			}
			in = in[taken:]
			if _, err := c.Write(ws.Append(nil, []byte(r.name), true)); err != nil {
				return err
			}
		}
		_, payload, taken, reply, err := ws.Decode(in, nil)
		if err != nil {
			return err
		}
		if in = in[taken:]; len(reply) > 0 {
			continue // a ping goes unanswered for as long as this test lasts
		}
		if taken > 0 {
			if string(payload) != r.name {
				return errNoEcho
			}
			r.back <- time.Now()
		}
	}
}

// A gateway is killed and started again, and all its clients reconnect at once. Each is served
// within 10 s. SLUICE_CLIENTS=10000 sets their number.
func TestAllComeBackAtOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	if runtime.GOOS != "linux" {
		t.Skip("NOT TESTED: it needs a loopback address of its own")
	}
	const within = 10 * time.Second
	n := 2000
	if more, err := strconv.Atoi(os.Getenv("SLUICE_CLIENTS")); err == nil {
		n = more
	}
	bin := proctest.Build(t)
	start := func(client, inner string) *proctest.Process {
		return proctest.Start(t, nil, bin, "gateway", "--listen", "ws://"+client, "--inner", inner)
	}
	// On an address that nobody else uses the ports stay free until the gateway comes back.
	gateway := start("127.0.77.1:0", "127.0.77.1:0")
	client, inner := gateway.Addrs["ws"], gateway.Addrs["inner"]
	proctest.Start(t, nil, bin, "echo", "--worker", "--gateway", inner)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var living sync.WaitGroup
	defer living.Wait()
	defer cancel()
	back := make(chan time.Time, n)
	for i := range n {
		r := &returner{name: fmt.Sprintf("client %d", i), addr: client, back: back}
		living.Go(func() { r.live(ctx) })
	}
	all := func(what string) (times []time.Time) {
		t.Helper()
		late := time.After(60 * time.Second)
		for range n {
			select {
			case at := <-back:
				times = append(times, at)
			case <-late:
				t.Fatalf("%s: only %d of %d", what, len(times), n)
			}
		}
		return times
	}
	all("at first")
	gateway.Kill()
	start(client, inner)
	began := time.Now()
	times := all("after the restart")
	slices.SortFunc(times, time.Time.Compare)
	at := func(share float64) time.Duration {
		return times[int(share*float64(n-1))].Sub(began).Round(time.Millisecond)
	}
	t.Logf("%d clients are back: half after %v, 99 of 100 after %v, the last after %v", n, at(0.5), at(0.99), at(1))
	if at(1) > within {
		t.Errorf("the last is back after %v, more than %v", at(1), within)
	}
}
