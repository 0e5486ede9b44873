package stats_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/proctest"
	"github.com/seed-7410fe32/sluice/worker"
)

// A server that is drained keeps what was counted until its last moment.
func TestNothingIsLostAtTheEnd(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	const calls = 500
	for round := range 2 {
		n := start(t, "echo", "127.0.0.1:0", "--data", data, "--name", "shop")
		c := proctest.Dial(t, n.Addrs["text"])
		for i := range calls {
			proctest.Echoes(t, c, fmt.Sprint("message ", i))
		}
		if code := n.Terminate(); code != 0 {
			t.Errorf("exit code %d", code)
		}
		n = start(t, "echo", "127.0.0.1:0", "--data", data, "--name", "shop")
		rows, want := n.rows(), uint64(round+1)
		message, connect, end := rows["echo/message"], rows["echo/connect"], rows["echo/close"]
		if message.Count != want*calls || message.Success != want*calls || connect.Count > want || end.Count > want {
			t.Errorf("round %d: %+v", round, rows)
		}
		n.Terminate()
	}
}

// coded is an error with a code of its own.
type coded int

func (c coded) Error() string { return fmt.Sprint("failed with ", int(c)) }

// Code returns the code.
func (c coded) Code() int { return int(c) }

// shop is a worker that counts its own calls.
type shop struct {
	good, failed, panicked, closed atomic.Uint64
	slow                           time.Duration
}

// message does what the client says: a call with a name and a known end.
func (s *shop) message(_ context.Context, c worker.Call, m worker.Message) error {
	c.Interface(strings.Fields(string(m.Data))[0])
	switch {
	case strings.HasPrefix(string(m.Data), "fail"):
		s.failed.Add(1)
		return coded(42)
	case strings.HasPrefix(string(m.Data), "panic"):
		s.panicked.Add(1)
		panic("a bug")
	}
	time.Sleep(s.slow)
	s.good.Add(1)
	c.Send(m)
	return nil
}

// run runs the worker for gateways. stop drains it.
func (s *shop) run(t *testing.T, gateways []string) (stop func()) {
	t.Helper()
	w, err := worker.New(worker.Config{Gateways: gateways, Name: "shop", Logger: slog.New(slog.DiscardHandler)},
		worker.Handler{
			Message: s.message,
			Close:   func(context.Context, worker.Call, worker.Reason) error { s.closed.Add(1); return nil },
		})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if st := w.Stats(); st.ReportsLost != 0 || st.ReportsWaiting != 0 {
			t.Errorf("reports: %d lost, %d wait", st.ReportsLost, st.ReportsWaiting)
		}
	})
	t.Cleanup(stop)
	return stop
}

// talk sends lines to the addresses, and goes on with the next one when a connection ends, until
// ctx ends.
func talk(ctx context.Context, addrs []string) {
	for at := 0; ctx.Err() == nil; at++ {
		c, err := net.DialTimeout("tcp", addrs[at%len(addrs)], time.Second)
		if err != nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		end := context.AfterFunc(ctx, func() { _ = c.Close() })
		in := bufio.NewReader(c)
		for i := 0; ctx.Err() == nil; i++ {
			if _, err = fmt.Fprintf(c, "%s\ngood %d\n", []string{"good", "fail", "panic", "good"}[i%4], i); err != nil {
				break
			}
			_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
			line := ""
			for line != fmt.Sprintf("good %d\n", i) && err == nil {
				line, err = in.ReadString('\n')
			}
			if err != nil {
				break
			}
		}
		end()
		_ = c.Close()
	}
}

// Three gateways, one of which keeps what two workers report, are killed one after the other under
// load. The figures are those that the workers have counted themselves.
func TestWorkersOfThreeGateways(t *testing.T) {
	t.Parallel()
	data, secret := t.TempDir(), tokenFile(t, reporter+"\n")
	inner, text := []string{freeAddr(t), freeAddr(t), freeAddr(t)}, []string{freeAddr(t), freeAddr(t), freeAddr(t)}
	admin := freeAddr(t)
	begin := func(i int) *node {
		args := []string{"--inner", inner[i], "--listen", "text://" + text[i]}
		if i == 0 {
			return startAt(t, "gateway", admin, append(args, "--data", data)...)
		}
		return startAt(t, "gateway", "127.0.0.1:0", append(args, "--stats-to", "http://"+admin,
			"--stats-to-token-file", secret)...)
	}
	gateways := []*node{begin(0), begin(1), begin(2)}
	shops := []*shop{{}, {}}
	var stops []func()
	for _, s := range shops {
		stops = append(stops, s.run(t, inner))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var people sync.WaitGroup
	for i := range 6 {
		people.Go(func() { talk(ctx, append(text[i%3:], text[:i%3]...)) })
	}
	sum := func() (good, failed, panicked, closed uint64) {
		for _, s := range shops {
			good, failed = good+s.good.Load(), failed+s.failed.Load()
			panicked, closed = panicked+s.panicked.Load(), closed+s.closed.Load()
		}
		return good, failed, panicked, closed
	}
	for i := range 6 {
		before, _, _, _ := sum()
		proctest.Await(t, "some load", func() bool { now, _, _, _ := sum(); return now > before+300 })
		gateways[i%3].Kill()
		gateways[i%3] = begin(i % 3)
	}
	cancel()
	people.Wait()
	proctest.Await(t, "the figures", func() bool {
		good, _, _, _ := sum()
		return gateways[0].rows()["shop/good"].Count >= good
	})
	for _, stop := range stops {
		stop()
	}
	good, failed, panicked, closed := sum()
	rows := gateways[0].rows()
	if r := rows["shop/good"]; r.Count != good || r.Success != good {
		t.Errorf("good: %+v, want %d", r, good)
	}
	if r := rows["shop/fail"]; r.Count != failed || r.Success != 0 || r.Codes["42"] != failed {
		t.Errorf("fail: %+v, want %d", r, failed)
	}
	if r := rows["shop/panic"]; r.Count != panicked || r.Codes["500"] != panicked {
		t.Errorf("panic: %+v, want %d", r, panicked)
	}
	if r := rows["shop/close"]; r.Count != closed {
		t.Errorf("close: %+v, want %d", r, closed)
	}
	t.Logf("%d good calls, %d failed, %d panics, %d closes", good, failed, panicked, closed)
	out, code := gateways[0].run("stat", "--failures", "--code", "42", "--text", "failed with 42", "--limit", "1")
	if code != 0 || !strings.Contains(out, "shop") || !strings.Contains(out, "127.0.0.1:") {
		t.Errorf("%d: %s", code, out)
	}
	if failed == 0 || panicked == 0 {
		t.Error("nothing has failed")
	}
}
