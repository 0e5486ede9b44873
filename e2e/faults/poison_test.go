package faults_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/proctest"
	"github.com/seed-7410fe32/sluice/worker"
)

// mortalEnv makes the test program a worker of the gateway at that worker port, instead of
// running tests.
const mortalEnv = "SLUICE_TEST_MORTAL_WORKER"

// mortal is the business code of a worker that is killed by a message while it handles it, or
// that flushes and waits to be killed.
func mortal(ctx context.Context, c worker.Call, m worker.Message) error {
	switch string(m.Data) {
	default:
		c.Send(m)
	case "flush":
		c.Send(worker.Text("begun"))
		_ = c.Flush(ctx)
		c.Send(worker.Text("done"))
		if !m.Redelivered {
			select {}
		}
	case "poison":
		c.Send(worker.Text("must not arrive"))
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	return nil
}

// runMortal runs a mortal worker until SIGTERM.
func runMortal(inner string) {
	w, err := worker.New(worker.Config{Gateways: []string{inner}, Logger: slog.New(slog.DiscardHandler)},
		worker.Handler{Message: mortal})
	if err != nil {
		panic(err)
	}
	_ = w.Run(context.Background())
}

// startMortal starts a mortal worker as a process, which may die at once: died is closed then.
func startMortal(t *testing.T, inner string) (died <-chan struct{}, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), mortalEnv+"="+inner)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		_ = cmd.Wait()
	}()
	kill = func() {
		_ = cmd.Process.Kill()
		<-over
	}
	t.Cleanup(kill)
	return over, kill
}

// A message kills each worker process that receives it. It becomes a dead letter, which the
// gateway logs, and its client is notified. That client's next message, and all messages of
// another client, are answered once and in order, on their first connections.
func TestDeadLetter(t *testing.T) {
	t.Parallel()
	g := proctest.Start(t, nil, proctest.Build(t), "gateway", "--listen", "text://127.0.0.1:0",
		"--inner", "127.0.0.1:0", "--reactors", "1")
	sender, other := proctest.Dial(t, g.Addrs["text"]), proctest.Dial(t, g.Addrs["text"])
	proctest.Say(t, sender, "poison", "after it")
	received := make(chan string, 100)
	go func() {
		defer close(received)
		for lines := bufio.NewScanner(sender); lines.Scan(); {
			received <- lines.Text()
		}
	}()
	patience := time.After(time.Minute)
	workers := 0
	for refused := false; !refused; {
		proctest.Say(t, other, fmt.Sprint("line ", workers))
		died, _ := startMortal(t, g.Addrs["inner"])
		workers++
		select {
		case <-died:
		case line := <-received: // of the one before
			if refused = true; line != `{"type":"sluice.refused","code":"poison","count":1}` {
				t.Fatalf("the client of the dead letter receives %q", line)
			}
		case <-patience:
			t.Fatalf("after %d workers the message is still tried", workers)
		}
	}
	g.AwaitLog(`msg="dead letter: each worker that received the event has ended" event=message bytes=6 deliveries=5 `, 1)
	startMortal(t, g.Addrs["inner"]) // should the refusal have come before the last one's end
	select {
	case line := <-received:
		if line != "after it" {
			t.Errorf("after the refusal the client receives %q", line)
		}
	case <-patience:
		t.Error("the next message is not answered")
	}
	_ = other.SetReadDeadline(time.Now().Add(20 * time.Second))
	lines := bufio.NewScanner(other)
	for i := range workers {
		if !lines.Scan() || lines.Text() != fmt.Sprint("line ", i) {
			t.Fatalf("line %d of the other client is answered by %q, %v", i, lines.Text(), lines.Err())
		}
	}
	t.Logf("%d workers died of it, or were the first that did not", workers)
	// gateway.Config.MaxDeliveries. The client's Connect, which was delivered with its message, is
	// tried before that.
	const tries = 5
	if workers < tries || workers > 2*tries {
		t.Errorf("with %d tries for a message", tries)
	}
}

// A worker process is killed in a call that has flushed. Flushed effects arrive, and arrive
// again when the next worker handles the message. The others arrive once.
func TestKilledAfterAFlush(t *testing.T) {
	t.Parallel()
	g := proctest.Start(t, nil, proctest.Build(t), "gateway", "--listen", "text://127.0.0.1:0",
		"--inner", "127.0.0.1:0", "--reactors", "1")
	c := proctest.Dial(t, g.Addrs["text"])
	proctest.Say(t, c, "flush", "after it")
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	lines := bufio.NewScanner(c)
	expect := func(want string) {
		t.Helper()
		if !lines.Scan() || lines.Text() != want {
			t.Fatalf("the client receives %q, %v, not %q", lines.Text(), lines.Err(), want)
		}
	}
	_, kill := startMortal(t, g.Addrs["inner"])
	expect("begun")
	kill()
	startMortal(t, g.Addrs["inner"])
	expect("begun")
	expect("done")
	expect("after it")
}

// There is no worker for longer than messages are queued. The client stays connected and
// receives the number of its rejected messages. When there is a worker again it is served within
// a second.
func TestNoWorkerForLong(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	t.Parallel()
	bin := proctest.Build(t)
	g := proctest.Start(t, nil, bin, "gateway", "--listen", "text://127.0.0.1:0",
		"--inner", "127.0.0.1:0", "--reactors", "1")
	serve := func() *proctest.Process {
		return proctest.Start(t, nil, bin, "echo", "--worker", "--gateway", g.Addrs["inner"])
	}
	w := serve()
	c := proctest.Dial(t, g.Addrs["text"])
	proctest.Echoes(t, c, "before")
	began := time.Now() // a client waits from when its worker has gone
	w.Kill()
	g.AwaitLog(`msg="link closed"`, 1)
	proctest.Say(t, c, "one", "two")
	_ = c.SetReadDeadline(began.Add(20 * time.Second))
	line, err := bufio.NewReader(c).ReadString('\n')
	const held = 10 * time.Second // gateway.Config.QueueTimeout
	took := time.Since(began)
	if line != `{"type":"sluice.refused","code":"no_worker","count":2}`+"\n" || err != nil || took < held {
		t.Fatalf("after %v the client receives %q, %v", took, line, err)
	}
	proctest.Say(t, c, "three")
	serve()
	back := time.Now()
	_ = c.SetReadDeadline(back.Add(20 * time.Second))
	if line, err = bufio.NewReader(c).ReadString('\n'); line != "three\n" || err != nil {
		t.Fatalf("with a worker the client receives %q, %v", line, err)
	}
	if took := time.Since(back); took > time.Second {
		t.Errorf("served %v after the worker was ready", took)
	}
}
