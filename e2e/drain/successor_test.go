package drain_test

import (
	"bufio"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/proctest"
	"github.com/seed-7410fe32/sluice/worker"
)

// successor starts a gateway on the ports of another one.
func successor(t *testing.T, bin string, old *proctest.Process) *proctest.Process {
	t.Helper()
	return proctest.Start(t, nil, bin, onPorts(old)...)
}

func onPorts(old *proctest.Process) []string {
	return []string{
		"gateway", "--reactors", "2", "--inner", old.Addrs["inner"], "--listen", "text://" + old.Addrs["text"],
	}
}

// A gateway that drains gives its worker port to a successor, and still gets workers, even one
// that was started later and knows only the successor's address. While the first gateway does
// not drain, a second gateway on the port is an error.
func TestSuccessorWithAnotherWorker(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	old := proctest.Start(t, nil, bin, "gateway", "--reactors", "2", "--drain-timeout", "1m",
		"--inner", "127.0.0.1:0", "--listen", "text://127.0.0.1:0")
	inner := old.Addrs["inner"]
	worker := func() *proctest.Process { return proctest.Start(t, nil, bin, "echo", "--worker", "--gateway", inner) }
	first := worker()
	client := proctest.Dial(t, old.Addrs["text"])
	proctest.Echoes(t, client, "with the first worker")

	cmd := exec.Command(bin, "gateway", "--inner", inner, "--listen", "text://127.0.0.1:0")
	out, _ := cmd.CombinedOutput()
	for _, want := range []string{
		"address already in use: stop the program that listens there, or choose another port",
		"takeover failed: ", "it is not draining (send it SIGTERM first)",
	} {
		if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), want) {
			t.Errorf("a second gateway: exit code %d, without %q: %s", cmd.ProcessState.ExitCode(), want, out)
		}
	}

	first.Signal(syscall.SIGSTOP)
	if _, err := client.Write([]byte("unanswered\n")); err != nil {
		t.Fatal(err)
	}
	old.Signal(syscall.SIGTERM)
	old.AwaitLog("msg=draining", 1)
	next := successor(t, bin, old)
	worker()
	first.Kill()
	lines := bufio.NewReader(client)
	for _, want := range []string{"unanswered\n", "{\"type\":\"sluice.draining\"}\n"} {
		if got, err := lines.ReadString('\n'); got != want || err != nil {
			t.Fatalf("got %q, %v, not %q", got, err, want)
		}
	}
	_ = client.Close()
	if code := old.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	client = proctest.Dial(t, next.Addrs["text"])
	proctest.Echoes(t, client, "with the second worker")
	_ = client.Close()
	if code := next.Terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// One worker serves a gateway that drains and its successor. Each gateway answers everything
// that was handled.
func TestSuccessorUnderLoad(t *testing.T) {
	t.Parallel()
	const n = 60
	bin := proctest.Build(t)
	old := proctest.Start(t, nil, bin, "gateway", "--reactors", "2", "--drain-rate", "20", "--drain-timeout", "1m",
		"--inner", "127.0.0.1:0", "--listen", "text://127.0.0.1:0")
	var mu sync.Mutex
	handled := make(map[string]int) // by client; guarded by mu
	proctest.StartWorker(t, old.Addrs["inner"], func() {}, func(c worker.Call, m worker.Message) {
		name, _, _ := strings.Cut(string(m.Data), " ")
		mu.Lock()
		handled[name]++
		mu.Unlock()
		c.Send(m)
	})
	var all []*leaver
	var talking sync.WaitGroup
	talk := func(first int, addr string) {
		for i := first; i < first+n; i++ {
			l := &leaver{name: strconv.Itoa(i)}
			all = append(all, l)
			talking.Go(func() { l.text(addr) })
		}
		proctest.Await(t, "everybody talks", func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(handled) == first+n
		})
	}
	talk(0, old.Addrs["text"])
	old.Signal(syscall.SIGTERM)
	old.AwaitLog("msg=draining", 1)
	began := time.Now()
	next := successor(t, bin, old)
	talk(n, next.Addrs["text"])
	t.Logf("the successor served %d clients after %v", n, time.Since(began).Round(time.Millisecond))
	if strings.Contains(old.Log(), "msg=drained") {
		t.Error("the old gateway had drained by then")
	}
	if code := old.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if code := next.Terminate(); code != 0 {
		t.Errorf("exit code of the successor %d", code)
	}
	talking.Wait()
	answers := 0
	for _, l := range all {
		if l.err != nil || l.farewell != `{"type":"sluice.draining"}` || handled[l.name] != l.answers {
			t.Errorf("client %s: %v, told %q; %d messages were handled, and it has %d answers",
				l.name, l.err, l.farewell, handled[l.name], l.answers)
		}
		answers += l.answers
	}
	t.Logf("%d clients, %d messages", len(all), answers)
}

// A gateway that cannot start, because it gets no port for clients, does not take the worker
// port from one that drains.
func TestASuccessorThatFailsTakesNothing(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	old := proctest.Start(t, nil, bin, "gateway", "--reactors", "1", "--drain-timeout", "1m",
		"--inner", "127.0.0.1:0", "--listen", "text://127.0.0.1:0")
	client := proctest.Dial(t, old.Addrs["text"])
	if _, err := client.Write([]byte("unanswered\n")); err != nil {
		t.Fatal(err)
	}
	old.AwaitLog("clients-waiting=1", 1) // for a worker
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	old.Signal(syscall.SIGTERM)
	old.AwaitLog("msg=draining", 1)
	cmd := exec.Command(bin, "gateway", "--inner", old.Addrs["inner"], "--listen", "text://"+other.Addr().String())
	out, _ := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 1 || !strings.Contains(string(out), "address already in use") {
		t.Errorf("a gateway on a port in use: exit code %d: %s", cmd.ProcessState.ExitCode(), out)
	}
	proctest.Start(t, nil, bin, "echo", "--worker", "--gateway", old.Addrs["inner"])
	if got, err := bufio.NewReader(client).ReadString('\n'); got != "unanswered\n" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	_ = client.Close()
	if code := old.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
