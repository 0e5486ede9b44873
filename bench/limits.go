package bench

import (
	"cmp"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-7410fe32/sluice/internal/procfs"
	"github.com/seed-7410fe32/sluice/internal/valid"
)

// setting is a number among the options: what it is when it is not given, and what it may be. Durations are in nanoseconds.
type setting struct {
	name               string // in an error: the flag's
	field              any    // *int, *float64 or *time.Duration
	unset, least, most float64
	modes              []Mode // in which it means something; nil: in all
}

// The bounds of settings.
const (
	maxLoops     = 256 // of an engine
	maxProcesses = 4096
	maxTime      = float64(10 * 24 * time.Hour)
	leastWindow  = float64(time.Millisecond)
	leastRate    = 1e-3 // messages a second
	maxRate      = 1e9
	maxQueued    = 64 << 20 // bytes that a connection of the generator queues; more closes it
)

// settings are all of them. One whose unset is 0 must not be given in a mode in which it means nothing; the others are ignored there.
func (o *Options) settings() []setting {
	conns, window := 1.0, 10*time.Second
	switch o.Mode {
	case Push: // to the next
		conns = 2
	case Idle: // in which a gateway pings each WebSocket once
		window = 25 * time.Second
	}
	size := float64(layoutOf(o.Mode, o.inner(), 0).least())
	loops := float64(min(max(runtime.NumCPU()/2, 1), maxLoops))
	return []setting{
		{"conns", &o.Conns, 1000, conns, maxStreams, nil},
		{"in-flight", &o.InFlight, 1, 1, maxQueued / stampLen, []Mode{Echo, Connect, Push, Broadcast, Rooms, Churn}},
		{"rate", &o.Rate, 0, leastRate, maxRate, []Mode{Echo, Connect, Push, Broadcast, Rooms, Chat}},
		{"size", &o.Size, 128, size, maxMessage, []Mode{Echo, Connect, Push, Broadcast, Rooms, Churn, Chat}},
		{"senders", &o.Senders, 1, 1, float64(o.Conns), []Mode{Broadcast}},
		{"room-size", &o.RoomSize, 50, 2, maxStreams, []Mode{Rooms, Chat}},
		{"per-conn", &o.PerConn, 10, 1, 1 << 30, []Mode{Churn}},
		{"slow-readers", &o.SlowReaders, 0, 1, maxStreams, []Mode{Broadcast, Rooms, Chat}},
		{"overheard", &o.Overheard, 0, 1, maxMessage, nil},
		{"think", &o.Think, float64(time.Second), 0, maxTime, []Mode{Chat}},
		{"warmup", &o.Warmup, float64(2 * time.Second), 0, maxTime, nil},
		{"duration", &o.Window, float64(window), leastWindow, maxTime, nil},
		{"drain", &o.Drain, float64(5 * time.Second), 0, maxTime, nil},
		{"loops", &o.Loops, loops, 1, maxLoops, nil},
		{"processes", &o.Processes, 0, 1, maxProcesses, nil},
		{"gateways", &o.Servers.Gateways, 1, 1, maxProcesses, nil},
		{"workers", &o.Servers.Workers, 1, 1, maxProcesses, nil},
		{"worker-procs", &o.Servers.Procs, 0, 1, maxProcesses, nil},
	}
}

// fill sets what is not given.
func (s *setting) fill() {
	if field := reflect.ValueOf(s.field).Elem(); field.IsZero() {
		field.Set(reflect.ValueOf(s.unset).Convert(field.Type()))
	}
}

// check tells what is wrong with the setting in a mode.
func (s *setting) check(m Mode) error {
	field := reflect.ValueOf(s.field).Elem()
	v := field.Convert(reflect.TypeFor[float64]()).Float()
	show := func(v float64) any { return reflect.ValueOf(v).Convert(field.Type()) } // in its own unit
	meant := s.modes == nil || slices.Contains(s.modes, m)
	switch {
	case v == 0 && s.unset == 0, !meant && s.unset != 0:
		return nil
	case !meant:
		return bad("mode %s has no %s", m, s.name)
	case v < s.least:
		return bad("%s is %v, and must be at least %v", s.name, field, show(s.least))
	case v > s.most:
		return bad("%s is %v, and must be at most %v", s.name, field, show(s.most))
	}
	return nil
}

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrOptions, fmt.Sprintf(format, args...))
}

// defaults fills in what is not given.
func (o *Options) defaults() {
	set(&o.Mode, Echo)
	if len(o.Mix) > 0 {
		o.Codec, o.Targets = Mixed, nil
		for _, f := range o.Mix {
			o.Targets = append(o.Targets, f.Targets...)
		}
	}
	set(&o.Codec, DefaultCodec(o.Targets))
	set(&o.Path, "/")
	set(&o.Servers.Reactors, autoReactors)
	for _, s := range o.settings() {
		s.fill()
	}
	for _, d := range []*time.Duration{&o.Warmup, &o.Drain, &o.Think} {
		*d = max(*d, 0) // negative: none
	}
}

// autoReactors is what a gateway calls as many event loops as there are processors.
const autoReactors = "auto"

func set[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

// check tells what makes no sense, before anything is started.
func (o *Options) check() error {
	switch {
	case !slices.Contains(Modes, o.Mode):
		return bad("there is no mode %q", o.Mode)
	case !slices.Contains(Codecs, o.Codec) && len(o.Mix) == 0:
		return bad("there is no codec %q", o.Codec)
	}
	if field, err := valid.Numbers(o); err != nil {
		return bad("%s: %v", field, err)
	}
	for _, s := range o.settings() {
		if err := s.check(o.Mode); err != nil {
			return err
		}
	}
	for _, f := range o.Mix {
		if err := f.check(); err != nil {
			return bad("%v", err)
		}
	}
	if _, err := o.plan(); err != nil {
		return bad("%v", err)
	}
	return cmp.Or(o.checkTogether(), o.checkLoad(), o.checkPIDs())
}

// checkTogether tells which options do not go with each other.
func (o *Options) checkTogether() error {
	n, err := strconv.Atoi(o.Servers.Reactors)
	switch {
	case o.Servers.Reactors != autoReactors && (err != nil || n < 1 || n > maxLoops):
		return bad("reactors is %q, and must be %s or a number from 1 to %d", o.Servers.Reactors, autoReactors, maxLoops)
	case o.Envelope != nil && (len(o.Mix) > 0 || o.SlowReaders > 0 || len(o.Targets) == 0):
		return bad("a login and messages of one's own are for a target, and not for slow readers and mixed formats")
	case o.Envelope.wraps() && !o.Mode.enveloped():
		return bad("in mode %s clients have names, which messages of one's own do not carry", o.Mode)
	case o.Processes > o.units():
		return bad("%d processes are too many for %d connections", o.Processes, o.Conns)
	case o.Rate > 0 && o.Rate*o.Window.Seconds() < 1:
		return bad("of %g %s a second none is due in %v", o.Rate, o.Mode.offered(), o.Window)
	}
	return nil
}

// checkLoad tells of a closed loop that would have more in flight than there is room for.
func (o *Options) checkLoad() error {
	if o.Rate > 0 || o.Mode == Idle || o.Mode == Chat {
		return nil
	}
	inFlight := uint64(o.InFlight)
	switch o.Mode {
	case Connect:
		inFlight = 1
	case Churn:
		inFlight = min(inFlight, uint64(o.PerConn))
	}
	each := inFlight * uint64(o.Size)
	if each > maxQueued {
		return bad("%d messages of %d bytes in flight are more than the %d MiB that a connection may queue", inFlight, o.Size, maxQueued>>20)
	}
	if all, memory := each*uint64(o.senders()), machine().Memory; memory > 0 && all > memory {
		return bad("%d senders with %d messages of %d bytes in flight are %d MiB, and this machine has %d", o.senders(), inFlight, o.Size, all>>20, memory>>20)
	}
	return nil
}

// checkPIDs tells which processes cannot be measured, or cannot be told apart in a report.
func (o *Options) checkPIDs() error {
	names, pids := map[string]bool{generatorName: true}, make(map[int]string)
	if len(o.Targets) == 0 {
		for _, name := range slices.Concat(numbered("gateway", o.Servers.Gateways), numbered("worker", o.Servers.Workers)) {
			names[name] = true
		}
	}
	for _, p := range o.PIDs {
		switch {
		case p.PID < 1 || !procfs.Exists(p.PID):
			return bad("there is no process %d to measure as %s", p.PID, p.Name)
		case strings.TrimSpace(p.Name) == "":
			return bad("process %d needs a name", p.PID)
		case names[p.Name]:
			return bad("there are two processes to measure as %s", p.Name)
		case pids[p.PID] != "":
			return bad("process %d is to be measured as %s and as %s", p.PID, pids[p.PID], p.Name)
		}
		names[p.Name], pids[p.PID] = true, p.Name
	}
	return nil
}

// Bounds of what one process and one local address can hold.
const (
	spareDescriptors = 256    // of a generator process, for everything but connections
	portsPerSource   = 25_000 // of the 28,232 that a Linux kernel gives out by default
)

// reach fills in the processes and local addresses that so many connections to the targets need.
func (o *Options) reach() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	room := int(min(limit.Cur, maxStreams))
	room = max(room-spareDescriptors, room/2) / o.descriptors()
	set(&o.Processes, (o.Conns+o.SlowReaders+room-1)/room)
	here := o.SlowReaders // beside the connections, if those are in this process
	for i := range o.Processes {
		n := int(o.border(i+1) - o.border(i))
		if o.Processes == 1 {
			here += n
		}
		if max(n, here) > room {
			return bad("%d connections and %d slow readers need more than %d processes of %d descriptors", o.Conns, o.SlowReaders, o.Processes, limit.Cur)
		}
	}
	if n := o.Servers.Gateways; len(o.Targets) == 0 && !o.shortLived() {
		most := int(limit.Cur - limit.Cur/16) // a gateway leaves a sixteenth to workers
		if need := (o.Conns+o.SlowReaders-1)/most + 1; need > n {
			return bad("of %d connections a gateway of %d descriptors holds %d: start %d gateways", o.Conns, limit.Cur, most, need)
		}
	}
	addrs, err := o.addrs()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	if slices.ContainsFunc(addrs, func(addr string) bool { ip := ipOf(addr); return !ip.Is4() || !ip.IsLoopback() }) {
		return nil // which addresses this machine has there, only its owner knows
	}
	places := len(addrs)
	if len(o.Targets) == 0 {
		places = o.Servers.Gateways
	}
	if n := (o.Conns-1)/(portsPerSource*places) + 1; n > 1 && len(o.Sources) == 0 {
		for i := range n {
			o.Sources = append(o.Sources, fmt.Sprintf("127.0.%d.%d", i/250, i%250+1))
		}
	}
	return nil
}
