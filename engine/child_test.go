package engine

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/panjf2000/gnet/v2"
)

// A test that needs a process of its own runs the test binary again, with its task in childEnv. The
// child prints its address, answers each line on its standard input with its CPU time, and exits at
// the end of its input.
const childEnv = "ENGINE_TEST_CHILD"

// childMain runs the task of the environment and reports whether there was one.
func childMain() bool {
	task := os.Getenv(childEnv)
	if task == "" {
		return false
	}
	addr, err := childTasks()[task]()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(addr)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var u syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		_ = json.NewEncoder(os.Stdout).Encode(u.Utime.Nano() + u.Stime.Nano())
	}
	return true
}

func childTasks() map[string]func() (string, error) {
	return map[string]func() (string, error){
		"engine":        func() (string, error) { return childEngine(funcs{data: echo}, ConnOptions{}) },
		"engine-framed": func() (string, error) { return childEngine(funcs{data: echoFrames}, ConnOptions{}) },
		"gnet":          childGnet,
		"exhausted":     childExhausted,
	}
}

func childEngine(h Handler, o ConnOptions) (string, error) {
	e, err := New(Config{Loops: 2})
	if err != nil {
		return "", err
	}
	ln, err := e.Listen("tcp", "127.0.0.1:0", ListenOptions{
		Conn:   o,
		Accept: func(netip.AddrPort) Handler { return h },
	})
	if err != nil {
		return "", err
	}
	return ln.Addr().String(), nil
}

// childExhausted is an echo server with only a few free descriptors.
func childExhausted() (string, error) {
	limit := syscall.Rlimit{Cur: exhaustedFiles, Max: exhaustedFiles}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return "", err
	}
	return childEngine(funcs{data: echo}, ConnOptions{})
}

// benchFrame is the size of a benchmark's message in bytes.
const benchFrame = 128

// echoFrames answers each message separately.
func echoFrames(c *Conn, in []byte) int {
	n := 0
	for ; len(in)-n >= benchFrame; n += benchFrame {
		_ = c.Commit(append(c.Begin(benchFrame), in[n:n+benchFrame]...))
	}
	return n
}

type gnetEcho struct {
	gnet.BuiltinEventEngine
	addr chan string
}

func (h *gnetEcho) OnBoot(e gnet.Engine) gnet.Action {
	fd, err := e.Dup()
	if err != nil {
		return gnet.Shutdown
	}
	f := os.NewFile(uintptr(fd), "listener")
	defer f.Close() //nolint:errcheck // FileListener has its own descriptor
	ln, err := net.FileListener(f)
	if err != nil {
		return gnet.Shutdown
	}
	defer ln.Close()
	h.addr <- ln.Addr().String()
	return gnet.None
}

func (*gnetEcho) OnTraffic(c gnet.Conn) gnet.Action {
	b, _ := c.Next(-1)
	_, _ = c.Write(b)
	return gnet.None
}

func childGnet() (string, error) {
	h := &gnetEcho{addr: make(chan string, 1)}
	failed := make(chan error, 1)
	go func() {
		failed <- gnet.Run(h, "tcp://127.0.0.1:0", gnet.WithNumEventLoop(2),
			gnet.WithLogger(reactorLog{slog.New(slog.DiscardHandler)}))
	}()
	select {
	case addr := <-h.addr:
		return addr, nil
	case err := <-failed:
		return "", err
	}
}

// child is a running child process.
type child struct {
	addr string
	ask  func() time.Duration // returns the CPU time that the child has used
}

func startChild(tb testing.TB, task string) child {
	tb.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+task)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	lines := bufio.NewScanner(out)
	line := func() string {
		if !lines.Scan() {
			tb.Fatal("the child process has ended")
		}
		return lines.Text()
	}
	c := child{addr: line()}
	c.ask = func() time.Duration {
		if _, err := fmt.Fprintln(in); err != nil {
			tb.Fatal(err)
		}
		var ns int64
		if err := json.Unmarshal([]byte(line()), &ns); err != nil {
			tb.Fatal(err)
		}
		return time.Duration(ns)
	}
	return c
}
