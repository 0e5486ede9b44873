package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/internal/childproc"
	"github.com/seed-7410fe32/sluice/internal/faultproxy"
)

// fleet is gateways and workers, each a process, with a bad wire to each gateway. Processes and wires belong to whoever does the faults; only it may touch them
// until it has ended. The number of faults is guarded by the channel that holds it.
type fleet struct {
	// Static after start.
	o        Options
	targets  map[bench.Codec][]string // by gateway
	gateways []*childproc.Process
	wires    []*faultproxy.Proxy

	workers chan []*childproc.Process // holds the one list, which is taken to be changed or looked at
	counts  chan map[string]int       // holds the one map: faults so far, by name
}

// stall is how long a client may take nothing.
const stall = 3 * time.Second

// start starts everything; what it returns is to be stopped, also after an error.
func start(o Options) (*fleet, error) {
	f := &fleet{o: o, targets: map[bench.Codec][]string{}, workers: make(chan []*childproc.Process, 1), counts: make(chan map[string]int, 1)}
	f.counts <- map[string]int{}
	var workers []*childproc.Process
	defer func() { f.workers <- workers }()
	for range o.Gateways {
		args := []string{"gateway", "--inner", "127.0.0.1:0", "--overflow", "oldest", "--write-timeout", stall.String()}
		for flag, n := range map[string]int{
			"reactors": loops, "max-message": maxMessage, "max-output": maxOutput, "max-buffered": maxBuffered, "hold-bytes": queueBytes, "queue-bytes": queueBytes, "partial-bytes": partialBytes,
		} {
			args = append(args, fmt.Sprintf("--%s=%d", flag, n))
		}
		codecs := o.codecs()
		for _, c := range codecs {
			args = append(args, "--listen", string(c)+"://127.0.0.1:0")
		}
		g, err := f.process(args...)
		if err != nil {
			return f, err
		}
		f.gateways = append(f.gateways, g)
		for _, c := range codecs {
			f.targets[c] = append(f.targets[c], g.Addrs[string(c)])
		}
		w, err := faultproxy.New(g.Addrs["inner"], faultproxy.Faults{})
		if err != nil {
			return f, fmt.Errorf("soak: %w", err)
		}
		f.wires = append(f.wires, w)
	}
	for range o.Workers {
		w, err := f.worker()
		if err != nil {
			return f, err
		}
		workers = append(workers, w)
	}
	return f, nil
}

func (f *fleet) process(args ...string) (*childproc.Process, error) {
	cmd := exec.Command(f.o.Binary, args...)
	cmd.Stderr = f.o.Log
	childproc.ExitWithParent(cmd)
	p, err := childproc.Start(cmd)
	if err != nil {
		return nil, fmt.Errorf("soak: %w", err)
	}
	return p, nil
}

func (f *fleet) worker() (*childproc.Process, error) {
	var inner []string
	for _, w := range f.wires {
		inner = append(inner, w.Addr())
	}
	return f.process("bench", "serve", "--worker", "--gateway", strings.Join(inner, ","), "--window", strconv.Itoa(window))
}

// stop ends the workers, then the gateways. Each must end as it is told to.
func (f *fleet) stop() error {
	var errs []error
	for _, p := range append(<-f.workers, f.gateways...) {
		if err := p.Stop(); err != nil {
			errs = append(errs, fmt.Errorf("soak: process %d: %w", p.PID, err))
		}
	}
	for _, w := range f.wires {
		w.Close()
	}
	return errors.Join(errs...)
}

// The faults, and how many of a hundred each is.
var faults = []struct {
	name  string
	share int
	do    func(*fleet, context.Context, *rand.Rand) error
}{
	{"killed", 40, (*fleet).kill},
	{"replaced", 15, (*fleet).replace},
	{"frozen", 10, (*fleet).freeze},
	{"cut", 15, func(f *fleet, _ context.Context, rng *rand.Rand) error { f.some(rng).Cut(); return nil }},
	{"corrupted", 10, func(f *fleet, _ context.Context, rng *rand.Rand) error { f.some(rng).Corrupt(1); return nil }},
	{"delayed", 5, func(f *fleet, ctx context.Context, rng *rand.Rand) error {
		return f.slow(ctx, rng, faultproxy.Faults{Delay: 500 * time.Millisecond})
	}},
	{"trickled", 5, func(f *fleet, ctx context.Context, rng *rand.Rand) error {
		return f.slow(ctx, rng, faultproxy.Faults{Rate: 1})
	}},
}

// fault does one of them.
func (f *fleet) fault(ctx context.Context, rng *rand.Rand) error {
	n := rng.IntN(100)
	for _, what := range faults {
		if n -= what.share; n >= 0 {
			continue
		}
		if err := what.do(f, ctx, rng); err != nil {
			return err
		}
		counts := <-f.counts
		counts[what.name]++
		f.counts <- counts
		return nil
	}
	return nil
}

// some is one of the wires.
func (f *fleet) some(rng *rand.Rand) *faultproxy.Proxy { return f.wires[rng.IntN(len(f.wires))] }

// renew ends one of the workers and starts another in its place.
func (f *fleet) renew(rng *rand.Rand, end func(*childproc.Process) error) error {
	workers := <-f.workers
	defer func() { f.workers <- workers }()
	i := rng.IntN(len(workers))
	if err := end(workers[i]); err != nil {
		return fmt.Errorf("soak: a worker that was told to end: %w", err)
	}
	w, err := f.worker()
	if err == nil {
		workers[i] = w
	}
	return err
}

func (f *fleet) kill(_ context.Context, rng *rand.Rand) error {
	return f.renew(rng, func(p *childproc.Process) error { p.Kill(); return nil })
}

func (f *fleet) replace(_ context.Context, rng *rand.Rand) error {
	return f.renew(rng, (*childproc.Process).Stop)
}

// freeze stops a worker for longer than its links' heartbeats allow.
func (f *fleet) freeze(ctx context.Context, rng *rand.Rand) error {
	workers := <-f.workers
	p := workers[rng.IntN(len(workers))]
	f.workers <- workers
	if err := syscall.Kill(p.PID, syscall.SIGSTOP); err != nil {
		return fmt.Errorf("soak: %w", err)
	}
	pause(ctx, 4*time.Second)
	if err := syscall.Kill(p.PID, syscall.SIGCONT); err != nil {
		return fmt.Errorf("soak: %w", err)
	}
	return nil
}

// slow makes a wire a bad one for a while.
func (f *fleet) slow(ctx context.Context, rng *rand.Rand, how faultproxy.Faults) error {
	w := f.some(rng)
	w.Set(how)
	pause(ctx, 3*time.Second)
	w.Set(faultproxy.Faults{})
	return nil
}

// done says what has been done.
func (f *fleet) done() string {
	counts := <-f.counts
	defer func() { f.counts <- counts }()
	var list []string
	for _, what := range faults {
		if n := counts[what.name]; n > 0 {
			list = append(list, fmt.Sprintf("%d %s", n, what.name))
		}
	}
	if list == nil {
		return "no faults"
	}
	return strings.Join(list, ", ")
}
