package drain_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/seed-7410fe32/sluice/internal/proctest"
	"github.com/seed-7410fe32/sluice/worker"
)

// leaver is a client that keeps some messages in flight until the gateway closes it.
type leaver struct {
	name     string
	answers  int
	farewell string    // what it was told
	at       time.Time // when
	err      error     // what went wrong
}

// inFlight is how many messages of a leaver are unanswered at most.
const inFlight = 4

// talk sends messages with numbers, and reads the answers in order, until the farewell.
func (l *leaver) talk(send func(string) error, receive func() (message, farewell string, err error)) {
	var sent int
	for l.err == nil {
		for ; sent < l.answers+inFlight; sent++ {
			if send(fmt.Sprintf("%s %d", l.name, sent)) != nil {
				break // what was said before the end is still to be read
			}
		}
		message, farewell, err := receive()
		switch {
		case farewell != "":
			l.farewell, l.at = farewell, time.Now()
			return
		case err != nil:
			l.err = err
			return
		case message != fmt.Sprintf("%s %d", l.name, l.answers):
			l.err = fmt.Errorf("answer %d is %q", l.answers, message)
		}
		l.answers++
	}
}

func (l *leaver) text(addr string) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		l.err = err
		return
	}
	defer func() { c.Close() }()
	lines := bufio.NewReader(c)
	l.talk(func(m string) error {
		_, err := c.Write([]byte(m + "\n"))
		return err
	}, func() (string, string, error) {
		line, err := lines.ReadString('\n')
		if line = strings.TrimSuffix(line, "\n"); strings.Contains(line, `"sluice.`) {
			return "", line, nil
		}
		return line, "", err
	})
}

func (l *leaver) webSocket(addr string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, _, err := websocket.Dial(ctx, "ws://"+addr, nil)
	if err != nil {
		l.err = err
		return
	}
	defer func() { _ = c.CloseNow() }()
	l.talk(func(m string) error { return c.Write(ctx, websocket.MessageText, []byte(m)) }, func() (string, string, error) {
		_, m, err := c.Read(ctx)
		if code := websocket.CloseStatus(err); code >= 0 {
			return "", strconv.Itoa(int(code)), nil
		}
		return string(m), "", err
	})
}

// A gateway that gets SIGTERM accepts no new clients, and closes its clients at the given rate,
// each when everything that was read from it is answered: a message without an answer was not
// handled by any worker.
func TestGatewayDrains(t *testing.T) {
	t.Parallel()
	const n, pace = 100, 50
	gateway := proctest.Start(t, nil, proctest.Build(t), "gateway", "--listen", "text://127.0.0.1:0",
		"--listen", "ws://127.0.0.1:0", "--inner", "127.0.0.1:0", "--reactors", "2",
		"--drain-rate", strconv.Itoa(pace), "--drain-timeout", "30s")
	var mu sync.Mutex
	handled := make(map[string]int) // by client; guarded by mu
	proctest.StartWorker(t, gateway.Addrs["inner"], func() {}, func(c worker.Call, m worker.Message) {
		name, _, _ := bytes.Cut(m.Data, []byte(" "))
		mu.Lock()
		handled[string(name)]++
		mu.Unlock()
		c.Send(m)
	})
	leavers := make([]*leaver, n)
	var talking sync.WaitGroup
	for i := range leavers {
		leavers[i] = &leaver{name: strconv.Itoa(i)}
		talking.Go(func() {
			if i%2 == 0 {
				leavers[i].text(gateway.Addrs["text"])
			} else {
				leavers[i].webSocket(gateway.Addrs["ws"])
			}
		})
	}
	proctest.Await(t, "everybody talks", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(handled) == n
	})

	began := time.Now()
	gateway.Signal(syscall.SIGTERM)
	gateway.AwaitLog("msg=draining", 1)
	if c, err := net.Dial("tcp", gateway.Addrs["text"]); err == nil {
		c.Close()
		t.Error("somebody is let in while the gateway drains")
	}
	talking.Wait()
	if code := gateway.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	slices.SortFunc(leavers, func(a, b *leaver) int { return a.at.Compare(b.at) })
	answers := 0
	for i, l := range leavers {
		if l.err != nil {
			t.Fatalf("client %s: %v", l.name, l.err)
		}
		if want := "1012"; l.farewell != want && l.farewell != `{"type":"sluice.draining"}` {
			t.Errorf("client %s was told %q", l.name, l.farewell)
		}
		if due := time.Duration(i) * time.Second / pace; l.at.Sub(began) < due {
			t.Errorf("client number %d was told after %v, and not before %v is its turn", i, l.at.Sub(began), due)
		}
		if handled[l.name] != l.answers {
			t.Errorf("client %s: %d messages were handled, and it has %d answers", l.name, handled[l.name], l.answers)
		}
		answers += l.answers
	}
	t.Logf("%d clients with %d messages were told within %v, the first after %v",
		n, answers, leavers[n-1].at.Sub(began).Round(time.Millisecond), leavers[0].at.Sub(began).Round(time.Millisecond))
}

// blocked starts a gateway with a client whose message is handled forever.
func blocked(t *testing.T, args ...string) (*proctest.Process, *bufio.Reader) {
	t.Helper()
	gateway := proctest.Start(t, nil, proctest.Build(t),
		append([]string{"gateway", "--listen", "text://127.0.0.1:0", "--inner", "127.0.0.1:0"}, args...)...)
	inside, release := make(chan struct{}), make(chan struct{})
	proctest.StartWorker(t, gateway.Addrs["inner"], func() { close(release) }, func(worker.Call, worker.Message) {
		close(inside)
		<-release
	})
	c := proctest.Dial(t, gateway.Addrs["text"])
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte("take your time\n")); err != nil {
		t.Fatal(err)
	}
	<-inside
	return gateway, bufio.NewReader(c)
}

// A client whose message is not handled in time is closed, and the exit code says that the drain
// was not complete.
func TestGatewayDrainHasAnEnd(t *testing.T) {
	t.Parallel()
	gateway, client := blocked(t, "--drain-timeout", "300ms")
	gateway.Signal(syscall.SIGTERM)
	if told, err := io.ReadAll(client); err != nil || string(told) != "{\"type\":\"sluice.draining\"}\n" {
		t.Errorf("the client was told %q, %v", told, err)
	}
	code := gateway.ExitCode()
	if code != 1 || !strings.Contains(gateway.Log(), "clients still connected at the end of the drain: 1") {
		t.Errorf("exit code %d", code)
	}
}

// A second signal ends a process at once, whatever it waits for.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			gateway, client := blocked(t, "--drain-timeout", "10m")
			gateway.Signal(s)
			gateway.AwaitLog("msg=draining", 1)
			gateway.Signal(s)
			if code := gateway.ExitCode(); code != 128+int(s) {
				t.Errorf("exit code %d", code)
			}
			if b, err := client.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the client receives %q, %v", b, err)
			}
		})
	}
}

// A second signal to the parent of workers ends them too.
func TestSecondSignalToSupervisor(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	gateway := proctest.Start(t, nil, bin, "gateway", "--listen", "text://127.0.0.1:0",
		"--inner", "127.0.0.1:0", "--reactors", "1")
	workers := proctest.Start(t, nil, bin, "echo", "--worker", "--workers", "1", "--gateway", gateway.Addrs["inner"],
		"--drain-timeout", "10m")
	pid := workers.WorkerPIDs(1)[0]
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil { // it will be long in draining
		t.Fatal(err)
	}
	workers.Signal(syscall.SIGTERM)
	workers.Signal(syscall.SIGINT)
	if code := workers.ExitCode(); code != 130 && code != 143 { // two signals may come in either order
		t.Errorf("exit code %d", code)
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	gateway.AwaitLog(`msg="link closed"`, 1)
}

// All in one, the gateway drains while its worker still answers.
func TestAllInOneDrains(t *testing.T) {
	t.Parallel()
	server := proctest.Start(t, nil, proctest.Build(t), "echo", "--listen", "text://127.0.0.1:0",
		"--listen", "ws://127.0.0.1:0")
	leavers := make([]*leaver, 20)
	var talking sync.WaitGroup
	for i := range leavers {
		leavers[i] = &leaver{name: strconv.Itoa(i)}
		talking.Go(func() {
			if i%2 == 0 {
				leavers[i].text(server.Addrs["text"])
			} else {
				leavers[i].webSocket(server.Addrs["ws"])
			}
		})
	}
	c := proctest.Dial(t, server.Addrs["text"])
	proctest.Echoes(t, c, "hello")
	_ = c.Close()
	if code := server.Terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	talking.Wait()
	for _, l := range leavers {
		if l.err != nil && l.answers > 0 { // who had not got in yet was turned away
			t.Errorf("client %s: %v", l.name, l.err)
		}
	}
}
