package faults_test

import (
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/e2e/internal/fleet"
	"github.com/seed-7410fe32/sluice/internal/faultproxy"
	"github.com/seed-7410fe32/sluice/internal/proctest"
	"github.com/seed-7410fe32/sluice/internal/suite"
)

// shaken is a fleet whose workers suffer faults while clients send messages.
type shaken struct {
	*fleet.Fleet
	workers []*proctest.Process
	wires   []*faultproxy.Proxy // to the gateways; none: workers connect to them
	killed  int                 // how often something was done
}

func newShaken(t *testing.T, bin string, codec bench.Codec, gateways int) *shaken {
	t.Helper()
	return &shaken{Fleet: fleet.New(t, bin, codec, gateways)}
}

func (f *shaken) addWorkers(n int) {
	f.TB.Helper()
	for range n {
		f.workers = append(f.workers, f.Worker())
	}
}

// next is the worker whose turn it is.
func (f *shaken) next() *proctest.Process { return f.workers[f.killed%len(f.workers)] }

// renew puts a new worker in the place of the one whose turn it was.
func (f *shaken) renew() {
	f.workers[f.killed%len(f.workers)] = f.Worker()
	f.killed++
}

// workerFault is a row of TestWorkersFail.
type workerFault struct {
	name              string
	mode              bench.Mode
	codec             bench.Codec
	gateways, workers int
	clients           int
	rate              float64
	window, short     time.Duration // in full, and else: about what times takes
	times             int           // in full; the load ends when so many faults were made
	fault             func(*shaken)
	wire              *faultproxy.Faults // between the workers and the gateways; nil: none
	rooms             float64            // messages a second that 100 more clients send to rooms
	deaf              int                // more clients that stop reading
	longest           time.Duration      // that a client may wait; 0: not checked
}

// Clients do not notice faults of workers, whatever wire format they use. Most rows have clients of
// all wire formats in one run. Each message comes back once, in order and unchanged, on the
// connection that was there from the beginning.
//
// All rows run. With SLUICE_TEST=full, each has all of its faults.
func TestWorkersFail(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	var beside sync.WaitGroup
	defer beside.Wait()
	for _, test := range []workerFault{
		{
			"killed", bench.Echo, bench.WebSocket, 1, 2, 1000, 5000, 10 * time.Second, 3 * time.Second, 40, (*shaken).kill, nil,
			100, 0, 5 * time.Second,
		},
		{
			"frozen", bench.Echo, bench.WebSocket, 1, 2, 200, 2000, 6 * time.Second, 6 * time.Second, 1, (*shaken).freeze, nil,
			0, 0, frozen - 500*time.Millisecond,
		},
		{
			"killed now and then", bench.Echo, bench.WebSocket, 1, 2, 1000, 5000, 8 * time.Second, 3 * time.Second, 8,
			(*shaken).killSeldom, nil, 0, 0, 3 * time.Second,
		},
		{
			"killed, the only one", bench.Echo, bench.Mixed, 1, 1, 200, 2000, 3 * time.Second, 2 * time.Second, 10,
			(*shaken).kill, nil, 0, 0, 0,
		},
		{
			"killed while they publish", bench.Rooms, bench.Mixed, 1, 2, 200, 400, 4 * time.Second, 2 * time.Second, 20,
			(*shaken).kill, nil, 0, 0, 0,
		},
		{
			"killed while they publish at two gateways", bench.Rooms, bench.Mixed, 2, 2, 200, 400, 5 * time.Second,
			3 * time.Second, 20, (*shaken).kill, nil, 0, 0, 0,
		},
		{
			"killed while readers stall", bench.Rooms, bench.Mixed, 1, 2, 200, 50, 5 * time.Second, 3 * time.Second, 20,
			(*shaken).kill, nil, 0, 10, 0,
		},
		{
			"killed while they push", bench.Push, bench.Mixed, 1, 2, 200, 2000, 4 * time.Second, 2 * time.Second, 20,
			(*shaken).kill, nil, 0, 0, 0,
		},
		{
			"replaced", bench.Echo, bench.Mixed, 1, 2, 200, 2000, 4 * time.Second, 2 * time.Second, 10, (*shaken).replace, nil,
			0, 0, 0,
		},
		{
			"cut off", bench.Echo, bench.WebSocket, 1, 2, 200, 2000, 8 * time.Second, 2 * time.Second, 20, (*shaken).cut,
			&faultproxy.Faults{}, 0, 0, 0,
		},
		{
			"cut off, over a slow wire", bench.Rooms, bench.Mixed, 1, 2, 200, 100, 5 * time.Second, 3 * time.Second, 20,
			(*shaken).cut, &faultproxy.Faults{Delay: 10 * time.Millisecond}, 0, 0, 0,
		},
		{
			"cut off while they publish at two gateways", bench.Rooms, bench.Mixed, 2, 1, 200, 100, 5 * time.Second,
			2 * time.Second, 20, (*shaken).cut, &faultproxy.Faults{Delay: 2 * time.Millisecond}, 0, 0, 0,
		},
		{
			"delayed by half a second", bench.Rooms, bench.Mixed, 1, 2, 200, 200, 4 * time.Second, 2 * time.Second, 4,
			(*shaken).wait, &faultproxy.Faults{Delay: 500 * time.Millisecond}, 0, 0, 0,
		},
		{
			"trickled to", bench.Echo, bench.WebSocket, 1, 2, 200, 1000, 10 * time.Second, 5 * time.Second, 2, (*shaken).trickle,
			&faultproxy.Faults{}, 0, 0, 0,
		},
		{
			"sent what is no frame", bench.Echo, bench.Mixed, 1, 2, 200, 2000, 4 * time.Second, 2 * time.Second, 8,
			(*shaken).corrupt, &faultproxy.Faults{}, 0, 0, 0,
		},
	} {
		run := func(t *testing.T) {
			if test.longest == 0 { // most rows wait most of the time
				t.Parallel()
			}
			window, times := test.window, test.times
			if !suite.Full() {
				t.Logf("SHORTENED: %v of %v; SLUICE_TEST=full has all", test.short, test.window)
				window, times = test.short, max(1, int(test.short*time.Duration(times)/test.window))
			}
			f := newShaken(t, proctest.Build(t), test.codec, test.gateways)
			if test.wire != nil {
				f.rewire()
			}
			f.addWorkers(test.workers)
			for _, w := range f.wires { // not before: a worker's start would take seconds
				w.Set(*test.wire)
			}
			o := bench.Options{
				Mode: test.mode, Codec: test.codec, Conns: test.clients, RoomSize: 20, Rate: test.rate, Targets: f.Targets,
				Mix: f.Mix, SlowReaders: test.deaf, Warmup: time.Second, Drain: time.Minute,
				Window: 5 * window, // on a busy machine so many faults take longer
			}
			if f.Mix != nil && test.rate <= 200 {
				o.Size = 400 // so that some of it is compressed, which costs the clients much
			}
			if test.deaf > 0 {
				o.Size = 8 << 10 // so that it is not the kernel that holds what they do not read
			}
			test.load(t, f, o, times)
			if f.killed < times && !t.Failed() {
				t.Errorf("%d times is not enough", f.killed)
			}
		}
		if test.name == "frozen" { // waits nearly all of the time
			beside.Go(func() { t.Run(test.name, run) })
		} else {
			t.Run(test.name, run)
		}
	}
}

// load runs clients while the fault is made time and again. No client may notice.
func (test *workerFault) load(t *testing.T, f *shaken, o bench.Options, times int) {
	enough := make(chan struct{})
	rooms := make(<-chan *bench.Report)
	if test.rooms > 0 {
		o := o
		o.Mode, o.Conns, o.Rate = bench.Rooms, 100, test.rooms
		_, rooms = fleet.LoadUntil(t, o, enough)
	}
	begun, done := fleet.LoadUntil(t, o, enough)
	select {
	case <-begun:
		f.shake(test.fault, times, done)
	case <-done: // it has failed
		return
	}
	close(enough)
	r := <-done
	if r == nil {
		return
	}
	t.Logf("%d workers %s: %.0f messages a second, audit %+v, latency p50 %d us, p99 %d us, max %d us; %v",
		f.killed, test.name, r.Sent, r.Audit, r.Latency.P50, r.Latency.P99, r.Latency.Max,
		strings.Join(r.Verdict.Reasons, "; "))
	fleet.ExpectClean(t, r)
	// A message counts from when it was due. For how late it was sent the generator is to blame.
	longest := time.Duration(r.Latency.Max-r.Lateness.Max) * time.Microsecond
	if test.longest > 0 && longest > test.longest {
		t.Errorf("a client has waited for %v", longest)
	}
	if test.rooms == 0 {
		return
	}
	if r := <-rooms; r != nil {
		t.Logf("and in rooms: %.0f messages a second, audit %+v", r.Sent, r.Audit)
		fleet.ExpectClean(t, r)
	}
}

// shake makes a fault again and again until there were enough of them, or the load is over. It
// waits for events that were lost with two links: one that is lost with five workers, as may happen
// on a busy machine, becomes a dead letter.
func (f *shaken) shake(fault func(*shaken), times int, done <-chan *bench.Report) {
	for f.killed < times && len(done) == 0 {
		if f.Suspects() > 0 {
			time.Sleep(5 * time.Millisecond)
			continue
		}
		fault(f)
	}
}

// rewire puts fault proxies between the gateways and later workers.
func (f *shaken) rewire() {
	for i, addr := range f.Inner {
		w, err := faultproxy.New(addr, faultproxy.Faults{})
		if err != nil {
			f.TB.Fatal(err)
		}
		f.TB.Cleanup(w.Close)
		f.wires = append(f.wires, w)
		f.Inner[i] = w.Addr()
	}
}

// wire is the one whose turn it is.
func (f *shaken) wire() *faultproxy.Proxy { return f.wires[f.killed%len(f.wires)] }

func (f *shaken) cut() {
	time.Sleep(100 * time.Millisecond)
	f.awaitTraffic()
	f.wire().Cut()
	f.killed++
}

// awaitTraffic waits until workers have sent something over the wire whose turn it is since it was
// last cut, however busy the machine is.
func (f *shaken) awaitTraffic() {
	const some = 4 << 10 // bytes, more than hellos have
	f.TB.Helper()
	proctest.Await(f.TB, "traffic on the wire", func() bool { return f.wire().Received() >= some })
}

func (f *shaken) wait() {
	time.Sleep(time.Second)
	f.killed++
}

// trickle makes a link slower than its heartbeat. It is closed, and so is each link that is
// dialled meanwhile.
func (f *shaken) trickle() {
	f.wire().Set(faultproxy.Faults{Rate: 1})
	time.Sleep(3 * time.Second)
	f.wire().Set(faultproxy.Faults{})
	time.Sleep(2 * time.Second)
	f.killed++
}

// corrupt changes the type of the next frame, which ends its link.
func (f *shaken) corrupt() {
	time.Sleep(300 * time.Millisecond)
	f.awaitTraffic()
	f.wire().Corrupt(1)
	f.killed++
}

func (f *shaken) kill() {
	f.next().Kill()
	f.renew()
	time.Sleep(50 * time.Millisecond)
}

// killSeldom leaves time for recovery, so that a client waits for one kill only.
func (f *shaken) killSeldom() {
	time.Sleep(500 * time.Millisecond)
	f.kill()
}

func (f *shaken) replace() {
	if err := f.next().Stop(); err != nil {
		f.TB.Errorf("a worker that was told to stop: %v", err)
	}
	f.renew()
}

// frozen is how long a worker is frozen. If the gateway does not notice, clients wait that long.
const frozen = 5 * time.Second

func (f *shaken) freeze() {
	p := f.next()
	_ = syscall.Kill(p.PID, syscall.SIGSTOP)
	time.Sleep(frozen)
	_ = syscall.Kill(p.PID, syscall.SIGCONT)
	time.Sleep(time.Second)
	f.killed++
}
