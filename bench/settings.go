package bench

import (
	"cmp"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"time"
)

// Setting is a number among the options: its flag, its default and its
// bounds. Durations are in nanoseconds.
type Setting struct {
	Name, Short, Usage string // of the flag; without Usage there is none
	Field              any    // *int, *float64 or *time.Duration
	Default, Min, Max  float64
	Modes              []Mode // in which it applies; nil: in all
}

const (
	maxLoops     = 256 // of an engine
	maxProcesses = 4096
	maxTime      = float64(10 * 24 * time.Hour)
	maxQueued    = 64 << 20 // bytes that a connection of the generator queues before it is closed
)

// Settings returns all numbers among the options. A setting without a default must not be given in
// a mode in which it does not apply; others are ignored there.
func (o *Options) Settings() []Setting {
	conns, window, due := 1.0, 10*time.Second, "messages a second of all senders together"
	switch o.Mode {
	case Push: // each connection sends to the next
		conns = 2
	case Idle: // a gateway pings each WebSocket once
		window = 25 * time.Second
	case Connect:
		due = "connections a second, of which --conns can be open at a time"
	}
	size := float64(layoutOf(o.Mode, o.inner(), 0).least())
	loops := float64(min(max(runtime.NumCPU()/2, 1), maxLoops))
	all := []Mode{Echo, Connect, Push, Broadcast, Rooms, Churn, Chat}
	groups := []Mode{Broadcast, Rooms, Chat}
	const noWait = ", 0 for none"
	return []Setting{
		{"conns", "c", "connections", &o.Conns, 1000, conns, maxStreams, nil},
		{"in-flight", "P", "closed loop: messages in flight per sender", &o.InFlight, 1, 1, maxQueued / stampLen, all[:6]},
		{"rate", "R", "open loop: " + due + ", for example 10k", &o.Rate, 0, 1e-3, 1e9, append(all[:4:4], Rooms, Chat)},
		{"size", "s", "payload of a message, in bytes", &o.Size, 128, size, maxMessage, all},
		{"senders", "", "connections that send", &o.Senders, 1, 1, float64(o.Conns), groups[:1]},
		{"room-size", "", "members of a room", &o.RoomSize, 50, 2, maxStreams, groups[1:]},
		{"per-conn", "", "messages per connection", &o.PerConn, 10, 1, 1 << 30, []Mode{Churn}},
		{"slow-readers", "", "additional connections that stop reading; they are not part of the audit",
			&o.SlowReaders, 0, 1, maxStreams, groups},
		{"overheard", "", "", &o.Overheard, 0, 1, maxMessage, nil},
		{"think", "", "closed loop: average time a user thinks after an answer" + noWait,
			&o.Think, float64(time.Second), 0, maxTime, groups[2:]},
		{"duration", "z", "length of the measurement", &o.Window, float64(window), float64(time.Millisecond), maxTime, nil},
		{"warmup", "", "time before the measurement" + noWait, &o.Warmup, float64(2 * time.Second), 0, maxTime, nil},
		{"drain", "", "time to wait for the last messages" + noWait, &o.Drain, float64(5 * time.Second), 0, maxTime, all},
		{"loops", "", "event loops of a generator", &o.Loops, loops, 1, maxLoops, nil},
		{"processes", "", "generator processes (default: as many as the descriptor limit asks for)",
			&o.Processes, 0, 1, maxProcesses, nil},
		{"gateways", "", "gateways to start", &o.Servers.Gateways, 1, 1, maxProcesses, nil},
		{"workers", "", "workers to start", &o.Servers.Workers, 1, 1, maxProcesses, nil},
		{"worker-procs", "", "GOMAXPROCS of a worker that is started (default: the number of processors)",
			&o.Servers.Procs, 0, 1, maxProcesses, nil},
	}
}

// In reports whether the setting applies in a mode.
func (s *Setting) In(m Mode) bool { return s.Modes == nil || slices.Contains(s.Modes, m) }

// Fill sets the default if the field is zero.
func (s *Setting) Fill() {
	if field := reflect.ValueOf(s.Field).Elem(); field.IsZero() {
		field.Set(reflect.ValueOf(s.Default).Convert(field.Type()))
	}
}

// check returns an error if the setting is out of bounds in a mode.
func (s *Setting) check(m Mode) error {
	field := reflect.ValueOf(s.Field).Elem()
	v := field.Convert(reflect.TypeFor[float64]()).Float()
	show := func(v float64) any { return reflect.ValueOf(v).Convert(field.Type()) } // in its own unit
	switch {
	case v == 0 && s.Default == 0, !s.In(m) && s.Default != 0:
		return nil
	case !s.In(m):
		return bad("mode %s has no %s", m, s.Name)
	case v < s.Min:
		return bad("%s: %v: must be at least %v", s.Name, field, show(s.Min))
	case v > s.Max:
		return bad("%s: %v: must be at most %v", s.Name, field, show(s.Max))
	}
	return nil
}

func bad(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrOptions, fmt.Sprintf(format, args...))
}

// autoReactors makes a gateway start one event loop per processor.
const autoReactors = "auto"

// defaults replaces zero values.
func (o *Options) defaults() {
	o.Mode = cmp.Or(o.Mode, Echo)
	if len(o.Mix) > 0 {
		o.Codec, o.Targets = Mixed, nil
		for _, f := range o.Mix {
			o.Targets = append(o.Targets, f.Targets...)
		}
	}
	o.Codec = cmp.Or(o.Codec, DefaultCodec(o.Targets))
	o.Path = cmp.Or(o.Path, "/")
	o.Servers.Reactors = cmp.Or(o.Servers.Reactors, autoReactors)
	for _, s := range o.Settings() {
		s.Fill()
	}
	for _, d := range []*time.Duration{&o.Warmup, &o.Drain, &o.Think} {
		*d = max(*d, 0) // negative: none
	}
}
