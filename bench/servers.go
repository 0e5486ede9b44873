package bench

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/internal/childproc"
)

// errServerEnded is returned by Run if a server that it started ends before it is stopped.
var errServerEnded = errors.New("bench: a server ended during the run")

type servers struct {
	all   []*childproc.Process // gateways first
	names []string
	logs  []*tail
	ended func(error) // called when one ends, also when it is stopped
}

// startServers starts the servers of the options, if there are no targets, and
// enters their addresses and processes. The caller stops them, also after an error.
// It calls ended for each that ends.
func startServers(o *Options, ended func(error)) (*servers, error) {
	s := &servers{ended: ended}
	if len(o.Targets) > 0 {
		o.Servers = Servers{Binary: o.Servers.Binary} // for agents
		return s, nil
	}
	program, err := o.Servers.program()
	if err != nil {
		return s, err
	}
	var inner []string
	for _, name := range numbered("gateway", o.Servers.Gateways) {
		args := []string{
			"gateway", "--listen", string(o.Codec) + "://127.0.0.1:0", "--inner", "127.0.0.1:0",
			"--reactors", o.Servers.Reactors, "--pin=" + strconv.FormatBool(o.Servers.Pin),
		}
		if o.Size > codec.DefaultMaxMessage {
			args = append(args, "--max-message", strconv.Itoa(o.Size))
		}
		p, err := s.start(o, name, program, nil, args)
		if err != nil {
			return s, err
		}
		o.Targets = append(o.Targets, p.Addrs[string(o.Codec)])
		inner = append(inner, p.Addrs["inner"])
	}
	var env []string
	if o.Servers.Procs > 0 {
		env = []string{"GOMAXPROCS=" + strconv.Itoa(o.Servers.Procs)}
	}
	args := []string{"echo", "--worker", "--gateway", strings.Join(inner, ",")}
	if o.Mode.named() || o.Mode == Broadcast {
		args = append([]string{"bench", "serve"}, args[1:]...)
	}
	for _, name := range numbered("worker", o.Servers.Workers) {
		if _, err := s.start(o, name, program, env, args); err != nil {
			return s, err
		}
	}
	return s, nil
}

func numbered(kind string, n int) (names []string) {
	if n == 1 {
		return []string{kind}
	}
	for i := range n {
		names = append(names, kind+"-"+strconv.Itoa(i+1))
	}
	return names
}

func (s *servers) start(o *Options, name, program string, env, args []string) (*childproc.Process, error) {
	log := &tail{}
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the run
	if o.Servers.Binary == "" {                           // another build may not support it
		childproc.ExitWithParent(cmd)
	}
	cmd.Stderr = log
	p, err := childproc.Start(cmd)
	if err != nil {
		return nil, fmt.Errorf("bench: %w%s", err, log)
	}
	s.all, s.names, s.logs = append(s.all, p), append(s.names, name), append(s.logs, log)
	go func() {
		<-p.Done()
		s.ended(fmt.Errorf("%w: the %s", errServerEnded, name))
	}()
	o.PIDs = append(o.PIDs, PID{Name: name, PID: p.PID})
	return p, nil
}

// stop ends the workers, then the gateways.
func (s *servers) stop() error {
	var errs []error
	for i, server := range slices.Backward(s.all) {
		if err := server.Stop(); err != nil {
			errs = append(errs, fmt.Errorf("bench: the %s did not end cleanly: %w%s", s.names[i], err, s.logs[i]))
		}
	}
	return errors.Join(errs...)
}

// lastLog returns the last log lines of all servers, for an error message.
func (s *servers) lastLog() string {
	var b strings.Builder
	for _, l := range s.logs {
		b.WriteString(l.String())
	}
	return b.String()
}

// tail keeps the last bytes written to it. Several goroutines may use it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

// tailLen is how much is kept, in bytes.
const tailLen = 2 << 10

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if n := len(t.b) - tailLen; n > 0 {
		t.b = append(t.b[:0], t.b[n:]...)
	}
	return len(p), nil
}

// String returns what is kept, on lines of its own, without lines of the level INFO.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b strings.Builder
	for line := range strings.Lines(string(t.b)) {
		if line = strings.TrimSpace(line); line != "" && !strings.Contains(line, " level=INFO ") {
			b.WriteString("\n" + line)
		}
	}
	return b.String()
}
