package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/internal/backoff"
	"github.com/seed-7410fe32/sluice/internal/childproc"
	"github.com/seed-7410fe32/sluice/internal/faultproxy"
)

// fleet is gateways and workers, each a process, with a faulty proxy before each gateway.
type fleet struct {
	// Static after start.
	o        Options
	targets  map[bench.Codec][]string // by gateway
	gateways []*childproc.Process
	wires    []*faultproxy.Proxy

	mu      sync.Mutex
	workers []*childproc.Process // guarded by mu
	counts  map[string]int       // faults so far; guarded by mu
}

// stall is how long a client may read nothing.
const stall = 3 * time.Second

// start starts all processes. The caller stops the fleet, also after an error.
func start(o Options) (*fleet, error) {
	f := &fleet{o: o, targets: map[bench.Codec][]string{}, counts: map[string]int{}}
	args := []string{"gateway", "--inner", "127.0.0.1:0", "--overflow", "oldest", "--write-timeout", stall.String()}
	for flag, n := range map[string]int{
		"reactors": loops, "max-message": maxMessage, "max-output": maxOutput, "max-buffered": maxBuffered,
		"max-unrouted-bytes": queueBytes, "max-queue-bytes": queueBytes, "max-partial-bytes": partialBytes,
	} {
		args = append(args, fmt.Sprintf("--%s=%d", flag, n))
	}
	for _, c := range o.codecs() {
		args = append(args, "--listen", string(c)+"://127.0.0.1:0")
	}
	for range o.Gateways {
		g, err := f.process(args...)
		if err != nil {
			return f, err
		}
		f.gateways = append(f.gateways, g)
		for _, c := range o.codecs() {
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
		f.workers = append(f.workers, w)
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

// stop ends the workers, then the gateways. It returns an error for each that fails.
func (f *fleet) stop() error {
	var errs []error
	for _, p := range append(f.workers, f.gateways...) {
		if err := p.Stop(); err != nil {
			errs = append(errs, fmt.Errorf("soak: process %d: %w", p.PID, err))
		}
	}
	for _, w := range f.wires {
		w.Close()
	}
	return errors.Join(errs...)
}

// faults are the kinds of fault, and how many of 100 faults are of each kind.
var faults = []struct {
	name  string
	share int
	do    func(*fleet, context.Context, *rand.Rand) error
}{
	{"killed", 40, func(f *fleet, _ context.Context, rng *rand.Rand) error {
		return f.renew(rng, func(p *childproc.Process) error { p.Kill(); return nil })
	}},
	{"replaced", 15, func(f *fleet, _ context.Context, rng *rand.Rand) error {
		return f.renew(rng, (*childproc.Process).Stop)
	}},
	{"frozen", 10, (*fleet).freeze},
	{"cut", 15, func(f *fleet, _ context.Context, rng *rand.Rand) error { f.wire(rng).Cut(); return nil }},
	{"corrupted", 10, func(f *fleet, _ context.Context, rng *rand.Rand) error { f.wire(rng).Corrupt(1); return nil }},
	{"delayed", 5, func(f *fleet, ctx context.Context, rng *rand.Rand) error {
		return f.slow(ctx, rng, faultproxy.Faults{Delay: 500 * time.Millisecond})
	}},
	{"trickled", 5, func(f *fleet, ctx context.Context, rng *rand.Rand) error {
		return f.slow(ctx, rng, faultproxy.Faults{Rate: 1})
	}},
}

func (f *fleet) fault(ctx context.Context, rng *rand.Rand) error {
	n := rng.IntN(100)
	for _, what := range faults {
		if n -= what.share; n >= 0 {
			continue
		}
		err := what.do(f, ctx, rng)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.counts[what.name]++
		return err
	}
	return nil
}

func (f *fleet) wire(rng *rand.Rand) *faultproxy.Proxy { return f.wires[rng.IntN(len(f.wires))] }

func (f *fleet) renew(rng *rand.Rand, end func(*childproc.Process) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := rng.IntN(len(f.workers))
	if err := end(f.workers[i]); err != nil {
		return fmt.Errorf("soak: stop a worker: %w", err)
	}
	w, err := f.worker()
	if err == nil {
		f.workers[i] = w
	}
	return err
}

// freeze stops a worker for longer than the heartbeats of its links allow.
func (f *fleet) freeze(ctx context.Context, rng *rand.Rand) error {
	f.mu.Lock()
	p := f.workers[rng.IntN(len(f.workers))]
	f.mu.Unlock()
	err := syscall.Kill(p.PID, syscall.SIGSTOP)
	backoff.Sleep(ctx, 4*time.Second)
	if err = errors.Join(err, syscall.Kill(p.PID, syscall.SIGCONT)); err != nil {
		return fmt.Errorf("soak: %w", err)
	}
	return nil
}

func (f *fleet) slow(ctx context.Context, rng *rand.Rand, how faultproxy.Faults) error {
	w := f.wire(rng)
	w.Set(how)
	backoff.Sleep(ctx, 3*time.Second)
	w.Set(faultproxy.Faults{})
	return nil
}

func (f *fleet) done() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var list []string
	for _, what := range faults {
		if n := f.counts[what.name]; n > 0 {
			list = append(list, fmt.Sprintf("%d %s", n, what.name))
		}
	}
	if list == nil {
		return "no faults"
	}
	return strings.Join(list, ", ")
}
