package worker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/proctest"
	"github.com/seed-7410fe32/sluice/internal/stats"
	"github.com/seed-7410fe32/sluice/worker"
)

// keeper sums reports as a node that keeps them does: each number of a source counts once.
type keeper struct {
	mu       sync.Mutex
	numbers  map[[16]byte]uint64
	sums     map[string]*stats.Row // by module/interface
	failures []stats.Failure
	lost     uint64
	again    int // reports that had come before
	missing  int // numbers that were left out
}

func newKeeper() *keeper {
	return &keeper{numbers: make(map[[16]byte]uint64), sums: make(map[string]*stats.Row)}
}

func (k *keeper) take(_ context.Context, b []byte) error {
	r, err := stats.ReadReport(b)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if r.Seq <= k.numbers[r.Source] {
		k.again++
		return nil
	}
	k.missing += int(r.Seq - k.numbers[r.Source] - 1)
	k.numbers[r.Source] = r.Seq
	for i := range r.Rows {
		name := r.Rows[i].Module + "/" + r.Rows[i].Interface
		if k.sums[name] == nil {
			k.sums[name] = &stats.Row{}
		}
		k.sums[name].Merge(&r.Rows[i])
	}
	k.failures = append(k.failures, r.Failures...)
	k.lost += r.LostFailures
	return nil
}

// figures returns the counts as text: the calls, and those that failed by code.
func (k *keeper) figures() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []string
	for _, name := range slices.Sorted(maps.Keys(k.sums)) {
		r := k.sums[name]
		text := fmt.Sprintf("%s %d", name, r.Count)
		for _, code := range slices.Sorted(maps.Keys(r.Codes)) {
			text += fmt.Sprintf(" %d:%d", code, r.Codes[code])
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

func (k *keeper) awaits(t *testing.T, want string) {
	t.Helper()
	last := ""
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if last = k.figures(); last == want {
			return
		}
	}
	t.Fatalf("figures %q\nwant    %q", last, want)
}

// statsGateway is a gateway at a fixed place that gives reports to a function.
func statsGateway(t *testing.T, inner string, take func(context.Context, []byte) error) (*gateway.Gateway, func()) {
	t.Helper()
	return serveUntil(t, gateway.Config{
		WorkerAddr: inner, Loops: 2, Logger: slog.New(slog.DiscardHandler), OnStats: take,
		Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}},
	})
}

type outOfStock struct{}

func (outOfStock) Error() string { return "out of\nstock" }
func (outOfStock) Code() int     { return 4711 }

// clerk is a handler whose calls fail as its clients say.
func clerk() worker.Handler {
	return worker.Handler{
		Connect: func(context.Context, worker.Call) error { return nil },
		Close: func(_ context.Context, c worker.Call, _ worker.Reason) error {
			c.Interface("goodbye")
			return nil
		},
		Message: func(ctx context.Context, c worker.Call, m worker.Message) error {
			verb, rest, _ := strings.Cut(string(m.Data), " ")
			if rest != "" {
				c.Interface(rest)
			}
			switch verb {
			case "fail":
				return errors.New("no")
			case "stock":
				return outOfStock{}
			case "panic":
				panic("a bug")
			case "impossible":
				c.Join("")
				return nil
			case "retry":
				if !m.Redelivered {
					return worker.Retry(errors.New("later"))
				}
			case "slow":
				time.Sleep(50 * time.Millisecond)
			case "after":
				c.After(0, func(_ context.Context, c worker.Call) error {
					c.Send(worker.Text("timer"))
					return nil
				})
				return nil
			case "worker":
				c.Worker().Record("shop", "buy", time.Second, 0, "", "")
				c.Worker().Record("shop", "buy", time.Second, 9, "192.0.2.7", "sold out")
			}
			c.Send(worker.Text("ok"))
			return nil
		},
		Error: func(_ context.Context, c worker.Call, err error) {
			if strings.Contains(err.Error(), "a bug") {
				c.Interface("recovered")
			}
			c.Send(worker.Text("failed"))
		},
	}
}

// Each call is counted by what it was called, with the code of its failure, and the failures say
// what was wrong and whose call it was.
func TestCallsAreRecorded(t *testing.T) {
	t.Parallel()
	k := newKeeper()
	g, _ := statsGateway(t, "127.0.0.1:0", k.take)
	w := run(t, worker.Config{Gateways: []string{g.WorkerAddr()}, Name: "clerk"}, clerk())
	<-w.Ready()
	c := dial(t, g)
	for _, say := range [][2]string{
		{"hello", "ok"}, {"hello login", "ok"}, {"hello message", "ok"}, {"fail", "failed"}, {"fail login", "failed"},
		{"stock", "failed"}, {"panic", "failed"}, {"impossible", "failed"}, {"retry", "ok"}, {"slow slow", "ok"},
		{"after", "timer"}, {"worker", "ok"},
	} {
		c.say(say[0])
		c.receives(say[1])
	}
	_ = c.conn.Close()
	k.awaits(t, "clerk/connect 1, clerk/goodbye 1, clerk/login 2 1:1, clerk/message 9 1:2 400:1 4711:1, "+
		"clerk/recovered 1 500:1, clerk/slow 1, clerk/timer 1, shop/buy 2 9:1")
	k.mu.Lock()
	defer k.mu.Unlock()
	if slow := &k.sums["clerk/slow"].Latency; slow.Max < 50*time.Millisecond || slow.Max > 30*time.Second {
		t.Errorf("a call of 50 ms has taken %v", slow.Max)
	}
	if buy := &k.sums["shop/buy"].Latency; buy.Sum != 2*time.Second || buy.Max != time.Second {
		t.Errorf("two calls of a second have taken %v", buy.Sum)
	}
	var said []string
	remote := c.conn.LocalAddr().String()
	for _, f := range k.failures {
		said = append(said, fmt.Sprint(f.Interface, " ", f.Code, " ", f.Text, " ", f.Addr == remote))
		if ago := time.Since(f.Time); ago < 0 || ago > time.Minute {
			t.Errorf("a failure %v ago", ago)
		}
	}
	slices.Sort(said)
	want := []string{
		"buy 9 sold out false", "login 1 no true", "message 1 later true", "message 1 no true",
		"message 400 Call.Join: worker: empty name true", `message 4711 out of\nstock true`,
		"recovered 500 worker: panic: a bug true",
	}
	if !slices.Equal(said, want) {
		t.Errorf("failures %q\nwant     %q", said, want)
	}
	proctest.Await(t, "the reports are acknowledged", func() bool {
		s := w.Stats()
		return s.Reports > 0 && s.ReportsWaiting == 0 && s.ReportsLost == 0
	})
}

// Every call is counted once, although reports are refused, acknowledged too late or never, and the
// gateway ends and comes again.
func TestReportsAreSentUntilTheyAreKept(t *testing.T) {
	t.Parallel()
	k := newKeeper()
	var calls atomic.Int32
	take := func(ctx context.Context, b []byte) error {
		switch calls.Add(1) % 4 {
		case 1:
			return errors.New("the disk is full")
		case 2:
			if err := k.take(ctx, b); err != nil {
				return err
			}
			return errors.New("the answer is lost") // although it is kept
		}
		return k.take(ctx, b)
	}
	g, stop := statsGateway(t, "127.0.0.1:0", take)
	inner := g.WorkerAddr()
	const workers, rounds, messages = 3, 3, 300
	var all []*worker.Worker
	for range workers {
		w := run(t, worker.Config{Gateways: []string{inner}, Name: "clerk"}, clerk())
		<-w.Ready()
		all = append(all, w)
	}
	for round := range rounds {
		var lines []*line
		for range 2 * workers {
			lines = append(lines, dial(t, g))
		}
		for _, c := range lines {
			for i := range messages {
				verb, answer := "hello", "ok"
				if i%10 == 0 {
					verb, answer = "stock", "failed"
				}
				c.say(verb)
				c.receives(answer)
			}
			_ = c.conn.Close()
		}
		proctest.Await(t, "the clients are gone", func() bool {
			n := 0
			for _, w := range all {
				n += w.Stats().Clients
			}
			return n == 0
		})
		if round < rounds-1 {
			stop()
			g, stop = statsGateway(t, inner, take)
			for _, w := range all {
				proctest.Await(t, "the links are back", func() bool { return w.Stats().Links == 2 })
			}
		}
	}
	const clients = 2 * workers * rounds
	k.awaits(t, fmt.Sprintf("clerk/connect %d, clerk/goodbye %d, clerk/message %d 4711:%d",
		clients, clients, clients*messages, clients*messages/10))
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.again == 0 || k.missing > 0 || len(k.numbers) != workers {
		t.Errorf("%d reports came again, %d are missing, %d sources", k.again, k.missing, len(k.numbers))
	}
	if n := uint64(len(k.failures)) + k.lost; n != clients*messages/10 {
		t.Errorf("%d failures and %d that had no room", len(k.failures), k.lost)
	}
}

// A worker that drains reports its last calls.
func TestTheLastCallsAreReported(t *testing.T) {
	t.Parallel()
	k := newKeeper()
	g, _ := statsGateway(t, "127.0.0.1:0", k.take)
	w, err := worker.New(worker.Config{
		Gateways: []string{g.WorkerAddr()}, Name: "clerk", Logger: slog.New(slog.DiscardHandler),
	}, clerk())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	<-w.Ready()
	c := dial(t, g)
	for range 100 {
		c.say("hello")
		c.receives("ok")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if got := k.figures(); got != "clerk/connect 1, clerk/message 100" {
		t.Errorf("figures when Run has returned: %q", got)
	}
}

// A gateway that keeps no figures gets none, and they take no memory.
func TestGatewaysWithoutOnStats(t *testing.T) {
	t.Parallel()
	g, _ := realGateway(t, 1, "127.0.0.1:0", nil)
	w := run(t, worker.Config{Gateways: []string{g.WorkerAddr()}, Name: "clerk"}, clerk())
	<-w.Ready()
	c := dial(t, g)
	for end := time.Now().Add(2500 * time.Millisecond); time.Now().Before(end); {
		c.say("hello")
		c.receives("ok")
	}
	if s, of := w.Stats(), g.Stats(); s.ReportsWaiting+int(s.Reports+s.ReportsLost) > 0 || of.ReportsRejected > 0 {
		t.Errorf("%d reports wait, %d were sent, %d lost, %d rejected", s.ReportsWaiting, s.Reports, s.ReportsLost,
			of.ReportsRejected)
	}
}

// A report goes to another gateway if the one that has taken the last one is gone.
func TestAnotherGatewayTakesReports(t *testing.T) {
	t.Parallel()
	k := newKeeper()
	first, stop := statsGateway(t, "127.0.0.1:0", k.take)
	second, _ := serveUntil(t, gateway.Config{
		ID: 2, Loops: 1, Logger: slog.New(slog.DiscardHandler), OnStats: k.take,
		Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}},
	})
	w := run(t, worker.Config{Gateways: []string{first.WorkerAddr(), second.WorkerAddr()}, Name: "clerk"}, clerk())
	<-w.Ready()
	c := dial(t, second)
	c.say("hello")
	c.receives("ok")
	k.awaits(t, "clerk/connect 1, clerk/message 1")
	if first.Stats().Reports == 0 {
		t.Error("the first gateway has taken no report")
	}
	stop()
	c.say("hello")
	c.receives("ok")
	k.awaits(t, "clerk/connect 1, clerk/message 2")
}

// A worker counts a limited number of names, and what has no room as others.
func TestTooManyNames(t *testing.T) {
	t.Parallel()
	k := newKeeper()
	g, _ := statsGateway(t, "127.0.0.1:0", k.take)
	w := run(t, worker.Config{Gateways: []string{g.WorkerAddr()}, Name: "clerk"}, clerk())
	<-w.Ready()
	c := dial(t, g)
	const names = stats.MaxPairs + 100
	for i := range names {
		c.say(fmt.Sprint("hello name", i))
		c.receives("ok")
	}
	c.say("hello")
	c.receives("ok")
	proctest.Await(t, "the figures", func() bool {
		k.mu.Lock()
		defer k.mu.Unlock()
		calls, others := uint64(0), uint64(0)
		for name, row := range k.sums {
			calls += row.Count
			if name == "clerk/"+stats.Other {
				others = row.Count
			}
		}
		return calls == names+2 && others >= 100 && others < 200 && k.sums["clerk/message"].Count == 1
	})
}

// Failures are limited to what a keeper can store, and all are counted.
func TestFloodOfFailures(t *testing.T) {
	t.Parallel()
	k := newKeeper()
	g, _ := statsGateway(t, "127.0.0.1:0", k.take)
	w := run(t, worker.Config{Gateways: []string{g.WorkerAddr()}, Name: "clerk"}, clerk())
	<-w.Ready()
	const failures = 5000
	c := dial(t, g)
	go func() { _, _ = c.conn.Write([]byte(strings.Repeat("fail\n", failures))) }()
	for range failures {
		c.receives("failed")
	}
	k.awaits(t, fmt.Sprintf("clerk/connect 1, clerk/message %d 1:%d", failures, failures))
	k.mu.Lock()
	defer k.mu.Unlock()
	if n := len(k.failures); n == 0 || n > failures/2 || uint64(n)+k.lost != failures {
		t.Errorf("%d failures were kept, %d lost", n, k.lost)
	}
}

// Three worker processes report. One of them is killed while it has nothing to do: what it has
// counted before is there, and the others count on.
func TestKilledWorkersHaveReported(t *testing.T) {
	t.Parallel()
	bin := proctest.BuildTest(t, "testdata/crowd")
	k := newKeeper()
	g, _ := statsGateway(t, "127.0.0.1:0", k.take)
	var workers []*proctest.Process
	for range 3 {
		workers = append(workers, proctest.Start(t, nil, bin, g.WorkerAddr()))
	}
	var clients []*line
	for range 6 {
		clients = append(clients, dial(t, g))
	}
	host, _ := os.Hostname()
	const messages = 200
	for round := range 2 {
		for _, c := range clients {
			for i := range messages {
				c.say(fmt.Sprint("say ", i))
				c.receives(fmt.Sprint("ok ", i))
			}
		}
		k.awaits(t, fmt.Sprintf("%s/message %d", host, (round+1)*messages*len(clients)))
		if round == 0 {
			workers[0].Kill()
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.numbers) != len(workers) || k.missing > 0 {
		t.Errorf("%d sources, %d reports are missing", len(k.numbers), k.missing)
	}
}
