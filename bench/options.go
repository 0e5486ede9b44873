package bench

import (
	"errors"
	"time"
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

// shortLived tells whether connections come and go.
func (o *Options) shortLived() bool { return o.Mode == Connect || o.Mode == Churn }

// together is how many connections, one after the other, have to be in one shard.
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

// senders is how many connections send.
func (o *Options) senders() (n int) {
	for i := range o.Conns {
		if o.sends(uint32(i)) {
			n++
		}
	}
	return n
}

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
