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

// errServerEnded is returned by Run, with its report if there is something to report on, when a server that it started has ended before it was told to.
var errServerEnded = errors.New("bench: a server has ended in the middle of the run")

// servers are the processes that Run started.
type servers struct {
	all   []*childproc.Process // the gateways first
	names []string
	logs  []*tail
	ended func(error) // told when one ends, also when it is stopped
}

// startServers starts what Options.Servers says and enters its addresses and processes into the options; with targets it starts nothing. What it returns is to be
// stopped, also after an error. ended is told of each that ends, the first time while it is needed still.
func startServers(o *Options, ended func(error)) (*servers, error) {
	s := &servers{ended: ended}
	if len(o.Targets) > 0 {
		o.Servers = Servers{Binary: o.Servers.Binary} // nothing is started but agents
		return s, nil
	}
	program, err := o.program()
	if err != nil {
		return s, err
	}
	var inner []string
	for _, name := range numbered("gateway", o.Servers.Gateways) {
		args := []string{"gateway", "--listen", string(o.Codec) + "://127.0.0.1:0", "--inner", "127.0.0.1:0", "--reactors", o.Servers.Reactors, "--pin=" + strconv.FormatBool(o.Servers.Pin)}
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
	for _, name := range numbered("worker", o.Servers.Workers) {
		args := append(o.Mode.worker(), "--worker", "--gateway", strings.Join(inner, ","))
		if _, err := s.start(o, name, program, env, args); err != nil {
			return s, err
		}
	}
	return s, nil
}

// worker is the verb of the program whose worker the mode needs.
func (m Mode) worker() []string {
	switch m {
	case Push, Rooms, Broadcast, Chat:
		return []string{"bench", "serve"}
	}
	return []string{"echo"}
}

// numbered are the names of n servers of a kind.
func numbered(kind string, n int) []string {
	if n == 1 {
		return []string{kind}
	}
	var names []string
	for i := range n {
		names = append(names, kind+"-"+strconv.Itoa(i+1))
	}
	return names
}

// start starts a server.
func (s *servers) start(o *Options, name, program string, env, args []string) (*childproc.Process, error) {
	log := &tail{}
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // what is typed at the terminal is for the run
	if o.Servers.Binary == "" {                           // another build may have no leash
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

// stop ends the workers and then the gateways.
func (s *servers) stop() error {
	var errs []error
	for i, server := range slices.Backward(s.all) {
		if err := server.Stop(); err != nil {
			errs = append(errs, fmt.Errorf("bench: the %s did not end well: %w%s", s.names[i], err, s.logs[i]))
		}
	}
	return errors.Join(errs...)
}

// lastWords are what the servers logged last, for an error message.
func (s *servers) lastWords() string {
	var b strings.Builder
	for _, l := range s.logs {
		b.WriteString(l.String())
	}
	return b.String()
}

// tail keeps the end of what is written to it. It may be used by several goroutines.
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

// String is what is kept, on lines of its own, without the news of a server that is well.
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
