package bench

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/proc"
	"sluice/internal/valid"
)

// Options say what load to make. What is zero gets its default from Run.
type Options struct {
	Mode  Mode  `json:"mode"`
	Codec Codec `json:"codec"`
	// Targets are the server's addresses, HOST:PORT or a URL: ws://host:port/path?query, wss://…, tcp://host:port, tls://…. Connections are spread over them, and over all addresses
	// that a name has. What is spoken over tcp and tls is Codec. Empty: Run starts gateway and workers as processes of their own.
	Targets []string `json:"targets,omitempty"`
	Path    string   `json:"path,omitempty"` // of the WebSocket handshake, where the target has none: a template. Defaults to /.
	// Addresses are those of the names in Targets, by name. Run looks up what is not there.
	Addresses    map[string][]string `json:"addresses,omitempty"`
	TLS          TLS                 `json:"tls,omitzero"`
	Headers      []string            `json:"headers,omitempty"`      // of the WebSocket handshake, "Name: value": templates
	Subprotocols []string            `json:"subprotocols,omitempty"` // offered in the WebSocket handshake; the server has to choose one
	Data         string              `json:"data,omitempty"`         // a file with a line for each connection, {line} in templates: connection i has line i, and after the last the first again
	// Mix has the clients speak different formats, in turn: connection i that of number i modulo their number. Codec and Targets follow from it. Empty: all speak Codec.
	Mix []WireFormat `json:"mix,omitempty"`
	// Envelope is what a server of another make has around a message inside a WebSocket. Nil: nothing.
	Envelope *Envelope `json:"envelope,omitempty"`

	Conns    int     `json:"conns"`               // connections held open. Defaults to 1,000.
	InFlight int     `json:"in_flight"`           // closed loop: messages on their way per sender. Defaults to 1.
	Rate     float64 `json:"rate,omitempty"`      // open loop: messages a second of all senders together; connect: connections a second, of which Conns can be on their way; not in idle and churn. 0: closed loop
	Size     int     `json:"size"`                // payload bytes. Defaults to 128; at least 16.
	Senders  int     `json:"senders,omitempty"`   // broadcast: connections that send. Defaults to 1.
	RoomSize int     `json:"room_size,omitempty"` // rooms and chat: members of a room. Defaults to 50.
	PerConn  int     `json:"per_conn,omitempty"`  // churn: messages in the life of a connection. Defaults to 10.
	// SlowReaders are further connections in broadcast, rooms and chat that read nothing once the load runs.
	SlowReaders int `json:"slow_readers,omitempty"`
	// SlowMixed has every other slow reader read a little, and one that was cut be replaced by one of the next format.
	SlowMixed bool `json:"slow_mixed,omitempty"`
	// Overheard is the size of broadcasts of another run that reach this one's clients: they are looked at and counted for nothing. 0: none come.
	Overheard int           `json:"overheard,omitempty"`
	Think     time.Duration `json:"think_ns,omitempty"` // chat, closed loop: how long people think, on average. Defaults to 1 s. Negative: not at all.
	Warmup    time.Duration `json:"warmup_ns"`          // Defaults to 2 s. Negative: none.
	Window    time.Duration `json:"window_ns"`          // Defaults to 10 s; in mode idle to 25 s, in which a gateway pings each WebSocket once.
	Drain     time.Duration `json:"drain_ns"`           // how long to wait for what is still on its way. Defaults to 5 s. Negative: not at all.

	Loops     int      `json:"loops"`             // of each generator process. Defaults to half the processors.
	Processes int      `json:"processes"`         // generators. Defaults to as many as the descriptors ask for.
	Sources   []string `json:"sources,omitempty"` // local addresses to dial from: addresses, ranges FIRST-LAST, prefixes such as 127.0.1.0/28. Defaults to 127.0.0.1, 127.0.0.2 … as many as the ports ask for when the target is on loopback.
	PIDs      []PID    `json:"pids,omitempty"`    // processes to measure, beside those that Run starts
	Servers   Servers  `json:"servers_started"`
	Label     string   `json:"label,omitempty"`
}

// Servers say what Run starts when no target is given.
type Servers struct {
	Binary   string `json:"binary,omitempty"`   // the sluice program. Defaults to this one.
	Gateways int    `json:"gateways,omitempty"` // Defaults to 1.
	Workers  int    `json:"workers,omitempty"`  // Defaults to 1.
	Reactors string `json:"reactors,omitempty"` // event loops of a gateway. Defaults to auto.
	Pin      bool   `json:"pin,omitempty"`      // tie each event loop to a processor
	Procs    int    `json:"procs,omitempty"`    // GOMAXPROCS of a worker. Defaults to the number of processors.
}

// PID is a process to measure.
type PID struct {
	Name string `json:"name"`
	PID  int    `json:"pid"`
}

// A Mode is what the load does.
type Mode string

// The modes.
const (
	Echo      Mode = "echo"      // every message comes back to its sender
	Idle      Mode = "idle"      // connections that say nothing
	Connect   Mode = "connect"   // dial, handshake, one echo, close, over and over
	Push      Mode = "push"      // the server sends to one connection, by uid
	Broadcast Mode = "broadcast" // every message goes to all
	Rooms     Mode = "rooms"     // every message goes to all in the sender's room
	Churn     Mode = "churn"     // echo on connections that live for some messages only
	Chat      Mode = "chat"      // a mix: people in rooms talk, whisper, come and go
)

// Modes are all of them.
var Modes = []Mode{Echo, Idle, Connect, Push, Broadcast, Rooms, Churn, Chat}

// Unit is what Report.Messages counts in this mode.
func (m Mode) Unit() string {
	switch m {
	case Connect, Idle:
		return "connection"
	case Echo, Churn:
		return "message"
	}
	return "delivery"
}

// Units is more than one of them.
func (m Mode) Units() string {
	if m.Unit() == "delivery" {
		return "deliveries"
	}
	return m.Unit() + "s"
}

// offered is what is due in an open loop.
func (m Mode) offered() string {
	if m == Connect {
		return "connections"
	}
	return "messages"
}

// A Codec is how messages are framed on the wire.
type Codec string

// The codecs.
const (
	Text      Codec = "text"  // lines
	JSON      Codec = "json"  // u32 total length and a document
	JSONLines Codec = "jsonl" // a document a line
	Frame     Codec = "frame" // u32 length and bytes
	WebSocket Codec = "ws"    // binary messages
)

// Codecs are all of them.
var Codecs = []Codec{Text, JSON, JSONLines, Frame, WebSocket}

// ErrOptions is returned by Run for options that make no sense.
var ErrOptions = errors.New("bench: bad options")

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
	set(&o.Conns, 1000)
	set(&o.InFlight, 1)
	set(&o.Size, 128)
	set(&o.Senders, 1)
	set(&o.RoomSize, 50)
	set(&o.PerConn, 10)
	set(&o.Think, time.Second)
	set(&o.Warmup, 2*time.Second)
	if o.Mode == Idle {
		set(&o.Window, 25*time.Second)
	}
	set(&o.Window, 10*time.Second)
	set(&o.Drain, 5*time.Second)
	set(&o.Servers.Gateways, 1)
	set(&o.Servers.Workers, 1)
	set(&o.Servers.Reactors, "auto")
	for _, d := range []*time.Duration{&o.Warmup, &o.Drain, &o.Think} {
		*d = max(*d, 0)
	}
	set(&o.Loops, max(runtime.NumCPU()/2, 1))
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
	room = max(room-spareDescriptors, room/2)
	room /= o.descriptors()
	set(&o.Processes, (o.Conns+room-1)/room)
	if o.Conns > room*o.Processes {
		return fmt.Errorf("%w: %d connections need more than %d processes of %d descriptors", ErrOptions, o.Conns, o.Processes, limit.Cur)
	}
	if n := o.Servers.Gateways; n > 0 && !o.shortLived() {
		most := int(limit.Cur - limit.Cur/16) // a gateway leaves a sixteenth to workers
		if need := (o.Conns+o.SlowReaders-1)/most + 1; need > n {
			return fmt.Errorf("%w: of %d connections a gateway of %d descriptors holds %d: start %d gateways", ErrOptions, o.Conns, limit.Cur, most, need)
		}
	}
	places, loopback, err := o.places()
	if err != nil || !loopback {
		return err // which addresses this machine has there, only its owner knows
	}
	if n := (o.Conns-1)/(portsPerSource*places) + 1; n > 1 && len(o.Sources) == 0 {
		for i := range n {
			o.Sources = append(o.Sources, fmt.Sprintf("127.0.%d.%d", i/250, i%250+1))
		}
	}
	return nil
}

func set[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}

func (o *Options) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrOptions, fmt.Sprintf(format, args...))
	}
	least := func(name string, v, least int) error {
		if v < least {
			return bad("%s is %d, and must be at least %d", name, v, least)
		}
		return nil
	}
	if !slices.Contains(Modes, o.Mode) {
		return bad("there is no mode %q", o.Mode)
	}
	if !slices.Contains(Codecs, o.Codec) && len(o.Mix) == 0 {
		return bad("there is no codec %q", o.Codec)
	}
	for _, f := range o.Mix {
		if err := f.check(); err != nil {
			return bad("%v", err)
		}
	}
	if field, err := valid.Numbers(o); err != nil {
		return bad("%s: %v", field, err)
	}
	if o.Rate > 0 && (o.Mode == Idle || o.Mode == Churn) {
		return bad("mode %s has no rate", o.Mode)
	}
	if o.Conns > maxStreams || o.Mode == Push && o.Conns < 2 {
		return bad("%d connections are too few or too many for mode %s", o.Conns, o.Mode)
	}
	if o.SlowReaders > 0 && o.Mode != Broadcast && o.Mode != Rooms && o.Mode != Chat {
		return bad("mode %s has no slow readers", o.Mode)
	}
	for _, p := range o.PIDs {
		if p.PID < 1 || !proc.Exists(p.PID) {
			return bad("there is no process %d to measure as %s", p.PID, p.Name)
		}
	}
	if o.Envelope != nil && (len(o.Mix) > 0 || o.SlowReaders > 0 || len(o.Targets) == 0) {
		return bad("a login and messages of one's own are for a target, and not for slow readers and mixed formats")
	}
	if o.Envelope.wraps() && !o.Mode.enveloped() {
		return bad("in mode %s clients have names, which messages of one's own do not carry", o.Mode)
	}
	if _, err := o.plan(); err != nil {
		return bad("%v", err)
	}
	if o.Processes > o.units() {
		return bad("%d processes are too many for %d connections", o.Processes, o.Conns)
	}
	return errors.Join(least("conns", o.Conns, 1), least("in-flight", o.InFlight, 1), least("size", o.Size, layoutOf(o.Mode, o.inner(), o.Size).least()), least("senders", o.Senders, 1),
		least("room size", o.RoomSize, 2), least("messages per connection", o.PerConn, 1),
		least("gateways", o.Servers.Gateways, 1), least("workers", o.Servers.Workers, 1))
}

// shortLived tells whether connections come and go.
func (o *Options) shortLived() bool { return o.Mode == Connect || o.Mode == Churn }

// together is how many connections, one after the other, have to be in one lane.
func (o *Options) together() int {
	if o.Mode == Chat {
		return o.RoomSize
	}
	return 1
}

// units are how many such there are.
func (o *Options) units() int { return (o.Conns + o.together() - 1) / o.together() }

// border is the first connection of generator process i.
func (o *Options) border(i int) uint32 {
	return uint32(min(o.units()*i/max(o.Processes, 1)*o.together(), o.Conns))
}

// process is the number of the generator process whose first connection is i.
func (o *Options) process(i uint32) int {
	p := 0
	for p+1 < o.Processes && o.border(p+1) <= i {
		p++
	}
	return p
}

// senders is how many connections send in a broadcast.
func (o *Options) senders() int { return min(o.Senders, o.Conns) }

// sends tells whether connection i does.
func (o *Options) sends(i uint32) bool {
	switch o.Mode {
	case Idle:
		return false
	case Broadcast:
		return int(i) < o.Senders
	case Rooms:
		return int(i)%o.RoomSize == 0
	}
	return true
}
