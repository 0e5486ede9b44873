package main_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/bench"
	"sluice/internal/proctest"
	"sluice/internal/wire"
)

// fleet is gateways and their workers, each a process of its own, with things being done to the workers while clients talk.
type fleet struct {
	t       *testing.T
	bin     string
	inner   []string // of the gateways, or of the wires to them
	wires   []*wire.Wire
	targets []string
	mix     []bench.WireFormat // that the clients speak; nil: all speak one
	killed  int

	gateways, workers []*proctest.Process
}

// newFleet starts gateways that speak a codec, bench.Mixed being all wire formats.
func newFleet(t *testing.T, bin string, codec bench.Codec, gateways int) *fleet {
	t.Helper()
	f := &fleet{t: t, bin: bin}
	listen := []string{"--listen", string(codec) + "://127.0.0.1:0"}
	if codec == bench.Mixed {
		listen = listenToAll()
	}
	for range gateways {
		g := proctest.Start(t, nil, f.bin, append([]string{"gateway", "--inner", "127.0.0.1:0", "--reactors", "2"}, listen...)...)
		f.gateways = append(f.gateways, g)
		f.inner, f.targets = append(f.inner, g.Addrs["inner"]), append(f.targets, g.Addrs[string(codec)])
	}
	if codec == bench.Mixed {
		f.mix = addressed(f.gateways...)
	}
	return f
}

func (f *fleet) worker() *proctest.Process {
	f.t.Helper()
	return proctest.Start(f.t, nil, f.bin, "bench", "serve", "--worker", "--gateway", strings.Join(f.inner, ","))
}

// next is the worker whose turn it is.
func (f *fleet) next() *proctest.Process { return f.workers[f.killed%len(f.workers)] }

// renew puts a new worker in the place of the one whose turn it was.
func (f *fleet) renew() {
	f.workers[f.killed%len(f.workers)] = f.worker()
	f.killed++
}

// What happens to workers no client notices, whatever it speaks, and most rows have clients of all wire formats in one run: each message comes back, once, in order and unchanged, on the connection that was there from the beginning.
func TestWorkersFail(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	for _, test := range []struct {
		name              string
		mode              bench.Mode
		codec             bench.Codec
		gateways, workers int
		clients           int
		rate              float64
		window            time.Duration
		times             int // at least
		fault             func(*fleet)
		wire              *wire.Faults  // between the workers and the gateways; nil: none
		rooms             float64       // messages a second of 100 more clients, to rooms: handlers that publish beside those that reply
		deaf              int           // readers who stall, besides
		longest           time.Duration // that a client may wait; 0: not looked at
	}{
		{"killed", bench.Echo, bench.WebSocket, 1, 2, 1000, 5000, 18 * time.Second, 100, (*fleet).kill, nil, 100, 0, 5 * time.Second},
		{"killed now and then", bench.Echo, bench.WebSocket, 1, 2, 1000, 5000, 16 * time.Second, 20, (*fleet).killSeldom, nil, 0, 0, 3 * time.Second},
		{"killed, the only one", bench.Echo, bench.Mixed, 1, 1, 200, 2000, 3 * time.Second, 10, (*fleet).kill, nil, 0, 0, 0},
		{"killed while they publish", bench.Rooms, bench.Mixed, 1, 2, 200, 400, 4 * time.Second, 20, (*fleet).kill, nil, 0, 0, 0},
		{"killed while they publish at two gateways", bench.Rooms, bench.Mixed, 2, 2, 200, 400, 5 * time.Second, 20, (*fleet).kill, nil, 0, 0, 0},
		{"killed while readers stall", bench.Rooms, bench.Mixed, 1, 2, 200, 100, 5 * time.Second, 20, (*fleet).kill, nil, 0, 10, 0},
		{"killed while they push", bench.Push, bench.Mixed, 1, 2, 200, 2000, 4 * time.Second, 20, (*fleet).kill, nil, 0, 0, 0},
		{"replaced", bench.Echo, bench.Mixed, 1, 2, 200, 5000, 4 * time.Second, 10, (*fleet).replace, nil, 0, 0, 0},
		{"cut off", bench.Echo, bench.WebSocket, 1, 2, 200, 2000, 4 * time.Second, 20, (*fleet).cut, &wire.Faults{}, 0, 0, 0},
		{"cut off, over a slow wire", bench.Rooms, bench.Mixed, 1, 2, 200, 200, 5 * time.Second, 8, (*fleet).cutSeldom, &wire.Faults{Delay: 10 * time.Millisecond}, 0, 0, 0},
		{"cut off while they publish at two gateways", bench.Rooms, bench.Mixed, 2, 1, 200, 200, 5 * time.Second, 20, (*fleet).cut, &wire.Faults{Delay: 2 * time.Millisecond}, 0, 0, 0},
		{"delayed by half a second", bench.Rooms, bench.Mixed, 1, 2, 200, 200, 4 * time.Second, 1, (*fleet).wait, &wire.Faults{Delay: 500 * time.Millisecond}, 0, 0, 0},
		{"trickled to", bench.Echo, bench.WebSocket, 1, 2, 200, 1000, 10 * time.Second, 2, (*fleet).trickle, &wire.Faults{}, 0, 0, 0},
		{"sent what is no frame", bench.Echo, bench.Mixed, 1, 2, 200, 2000, 4 * time.Second, 8, (*fleet).corrupt, &wire.Faults{}, 0, 0, 0},
		{"frozen", bench.Echo, bench.WebSocket, 1, 2, 200, 2000, 12 * time.Second, 2, (*fleet).freeze, nil, 0, 0, frozen - 500*time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFleet(t, proctest.Build(t), test.codec, test.gateways)
			if test.wire != nil {
				f.rewire(*test.wire)
			}
			for range test.workers {
				f.workers = append(f.workers, f.worker())
			}
			o := bench.Options{
				Mode: test.mode, Codec: test.codec, Conns: test.clients, RoomSize: 20, Rate: test.rate, Targets: f.targets, Mix: f.mix, SlowReaders: test.deaf,
				Warmup: time.Second, Window: test.window, Drain: 10 * time.Second,
			}
			if f.mix != nil && test.rate <= 200 {
				o.Size = 400 // so that some of it is compressed, which costs the clients much
			}
			if test.deaf > 0 {
				o.Size = 8 << 10 // so that it is not the kernel that holds what they do not read
			}
			rooms := make(<-chan *bench.Report)
			if test.rooms > 0 {
				o := o
				o.Mode, o.Conns, o.Rate = bench.Rooms, 100, test.rooms
				rooms = load(t, o)
			}
			done := load(t, o)
			var r *bench.Report
			for over := false; !over; {
				select {
				case r = <-done:
					over = true
				default:
					test.fault(f)
				}
			}
			if r == nil {
				return
			}
			t.Logf("%d workers %s: %.0f messages a second, audit %+v, latency p50 %d µs, p99 %d µs, max %d µs; %v", f.killed, test.name, r.Sent, r.Audit, r.Latency.P50, r.Latency.P99, r.Latency.Max, strings.Join(r.Verdict.Reasons, "; "))
			if f.killed < test.times {
				t.Errorf("%d times is not enough", f.killed)
			}
			expectClean(t, r)
			if longest := time.Duration(r.Latency.Max) * time.Microsecond; test.longest > 0 && longest > test.longest {
				t.Errorf("a client has waited for %v", longest)
			}
			if test.rooms == 0 {
				return
			}
			if r := <-rooms; r != nil {
				t.Logf("and in rooms: %.0f messages a second, audit %+v", r.Sent, r.Audit)
				expectClean(t, r)
			}
		})
	}
}

// load runs a load beside the test. What comes is its report; nothing, when it could not be run.
func load(t *testing.T, o bench.Options) <-chan *bench.Report {
	done := make(chan *bench.Report, 1)
	go func() {
		defer close(done)
		r, err := bench.Run(t.Context(), o, func(bench.Moment) {})
		if err != nil {
			t.Error(err)
			return
		}
		done <- r
	}()
	return done
}

// expectClean looks for what clients have noticed.
func expectClean(t *testing.T, r *bench.Report) {
	t.Helper()
	if !r.Audit.Clean() || len(r.Errors) > 0 || r.Verdict.Failed {
		t.Errorf("%v %v", r.Errors, r.Verdict.Reasons)
	}
}

// rewire puts bad wires between the gateways and the workers to come.
func (f *fleet) rewire(faults wire.Faults) {
	for i, addr := range f.inner {
		w, err := wire.New(addr, faults)
		if err != nil {
			f.t.Fatal(err)
		}
		f.t.Cleanup(w.Close)
		f.wires = append(f.wires, w)
		f.inner[i] = w.Addr()
	}
}

// wire is the one whose turn it is.
func (f *fleet) wire() *wire.Wire { return f.wires[f.killed%len(f.wires)] }

func (f *fleet) cut() {
	time.Sleep(100 * time.Millisecond)
	f.wire().Cut()
	f.killed++
}

// cutSeldom leaves a slow wire time to carry something: a message that is cut off time after time would be taken for poison.
func (f *fleet) cutSeldom() {
	time.Sleep(400 * time.Millisecond)
	f.cut()
}

func (f *fleet) wait() {
	time.Sleep(time.Second)
	f.killed++
}

// trickle makes a link slower than its heartbeat: it is given up, and so is each that is dialled meanwhile.
func (f *fleet) trickle() {
	f.wire().Set(wire.Faults{Rate: 1})
	time.Sleep(3 * time.Second)
	f.wire().Set(wire.Faults{})
	time.Sleep(2 * time.Second)
	f.killed++
}

// corrupt has the next frame, whose type is changed, end its link.
func (f *fleet) corrupt() {
	time.Sleep(300 * time.Millisecond)
	f.wire().Corrupt(1)
	f.killed++
}

func (f *fleet) kill() {
	f.next().Kill()
	f.renew()
	time.Sleep(50 * time.Millisecond)
}

// killSeldom leaves time for all to be well again, so that what a client waits for is one kill.
func (f *fleet) killSeldom() {
	time.Sleep(500 * time.Millisecond)
	f.kill()
}

func (f *fleet) replace() {
	if err := f.next().Stop(); err != nil {
		f.t.Errorf("a worker that was told to stop: %v", err)
	}
	f.renew()
}

// frozen is how long: when it is not noticed before, clients wait for so long.
const frozen = 5 * time.Second

func (f *fleet) freeze() {
	p := f.next()
	_ = syscall.Kill(p.PID, syscall.SIGSTOP)
	time.Sleep(frozen)
	_ = syscall.Kill(p.PID, syscall.SIGCONT)
	time.Sleep(time.Second)
	f.killed++
}
