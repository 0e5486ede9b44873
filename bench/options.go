package bench

import (
	"errors"
	"time"
)

// Options describe the load. Run replaces zero values by defaults.
type Options struct {
	Mode  Mode  `json:"mode"`
	Codec Codec `json:"codec"`
	// Targets are the addresses of the server: HOST:PORT, ws://HOST:PORT/PATH?QUERY, wss://, or for
	// the other codecs tcp://HOST:PORT and tls://. Connections are spread over them, and over all
	// addresses of a name. If it is empty, Run starts gateways and workers as processes.
	Targets []string `json:"targets,omitempty"`
	// Path of the WebSocket handshake where the target has none, a template. Defaults to /.
	Path string `json:"path,omitempty"`
	// Addresses are those of the names in Targets, by name. Run looks up the missing ones.
	Addresses map[string][]string `json:"addresses,omitempty"`
	TLS       TLS                 `json:"tls,omitzero"`
	// Headers of the WebSocket handshake, "Name: value", are templates.
	Headers []string `json:"headers,omitempty"`
	// Subprotocols are offered in the WebSocket handshake. The server must choose one.
	Subprotocols []string `json:"subprotocols,omitempty"`
	// Data is a file with a line for each connection, {line} in templates. With fewer lines than
	// connections they are used again from the first.
	Data string `json:"data,omitempty"`
	// Mix makes connection i speak format i modulo their number. It sets Codec and Targets. If it
	// is empty, all connections speak Codec.
	Mix []WireFormat `json:"mix,omitempty"`
	// Envelope is the protocol around a message. Nil sends the message alone.
	Envelope *Envelope `json:"envelope,omitempty"`

	Conns    int `json:"conns"`     // connections held open. Defaults to 1,000.
	InFlight int `json:"in_flight"` // closed loop: messages in flight per sender. Defaults to 1.
	// Rate makes an open loop: messages per second of all senders, or in mode Connect connections
	// per second, of which Conns can be open at a time. Not in modes Idle and Churn.
	Rate     float64 `json:"rate,omitempty"`
	Size     int     `json:"size"`                // payload bytes, at least 16. Defaults to 128.
	Senders  int     `json:"senders,omitempty"`   // Broadcast: connections that send. Defaults to 1.
	RoomSize int     `json:"room_size,omitempty"` // Rooms and Chat: members of a room. Defaults to 50.
	PerConn  int     `json:"per_conn,omitempty"`  // Churn: messages per connection. Defaults to 10.
	// SlowReaders are additional connections in Broadcast, Rooms and Chat that
	// stop reading when the load starts.
	SlowReaders int `json:"slow_readers,omitempty"`
	// SlowMixed makes every other slow reader read a little, and replaces one that was
	// closed by one of the next format.
	SlowMixed bool `json:"slow_mixed,omitempty"`
	// Overheard is the size of broadcasts of another run that reach the clients of this one. They
	// are checked and not counted. 0: there are none.
	Overheard int `json:"overheard,omitempty"`
	// Think is how long a user thinks on average in mode Chat, closed loop.
	// Defaults to 1 s. Negative: not at all.
	Think  time.Duration `json:"think_ns,omitempty"`
	Warmup time.Duration `json:"warmup_ns"` // Defaults to 2 s. Negative: none.
	// Window is how long to measure. Defaults to 10 s; in mode Idle to 25 s, in which a gateway
	// pings each WebSocket once.
	Window time.Duration `json:"window_ns"`
	// Drain is how long to wait for messages in flight at the end.
	// Defaults to 5 s. Negative: not at all.
	Drain time.Duration `json:"drain_ns"`

	Loops     int `json:"loops"`     // event loops of a generator process. Defaults to half the processors.
	Processes int `json:"processes"` // generators. Defaults to what the descriptor limit asks for.
	// Sources are local addresses to dial from: addresses, ranges FIRST-LAST, or prefixes such as
	// 127.0.1.0/28. For a target on loopback they default to 127.0.0.1, 127.0.0.2 and so on, as
	// many as the number of ports asks for.
	Sources []string `json:"sources,omitempty"`
	PIDs    []PID    `json:"pids,omitempty"` // processes to measure, in addition to those that Run starts
	Servers Servers  `json:"servers_started"`
	Label   string   `json:"label,omitempty"`
}

// Servers describe what Run starts if there is no target.
type Servers struct {
	Binary   string `json:"binary,omitempty"`   // the sluice program. Defaults to this one.
	Gateways int    `json:"gateways,omitempty"` // Defaults to 1.
	Workers  int    `json:"workers,omitempty"`  // Defaults to 1.
	Reactors string `json:"reactors,omitempty"` // event loops of a gateway. Defaults to auto.
	Pin      bool   `json:"pin,omitempty"`      // bind each event loop to a processor
	Procs    int    `json:"procs,omitempty"`    // GOMAXPROCS of a worker. Defaults to the number of processors.
}

// PID is a process to measure.
type PID struct {
	Name string `json:"name"`
	PID  int    `json:"pid"`
}

// A Mode is a kind of load.
type Mode string

// The modes.
const (
	Echo      Mode = "echo"      // every message comes back to its sender
	Idle      Mode = "idle"      // connections that send nothing
	Connect   Mode = "connect"   // dial, handshake, one echo, close, repeated
	Push      Mode = "push"      // the server sends to one connection, by UID
	Broadcast Mode = "broadcast" // every message goes to all
	Rooms     Mode = "rooms"     // every message goes to the sender's room
	Churn     Mode = "churn"     // echo on connections that live for a few messages
	Chat      Mode = "chat"      // a mix: users in rooms talk, whisper, leave and return
)

// Modes are all modes.
var Modes = []Mode{Echo, Idle, Connect, Push, Broadcast, Rooms, Churn, Chat}

// Unit names what Report.Messages counts in this mode.
func (m Mode) Unit() string {
	switch m {
	case Connect, Idle:
		return "connection"
	case Echo, Churn:
		return "message"
	}
	return "delivery"
}

// Units is the plural of Unit.
func (m Mode) Units() string {
	if m.Unit() == "delivery" {
		return "deliveries"
	}
	return m.Unit() + "s"
}

// offered names what is due in an open loop.
func (m Mode) offered() string {
	if m == Connect {
		return "connections"
	}
	return "messages"
}

// named reports whether the clients of the mode have names that the bench worker knows.
func (m Mode) named() bool { return m == Push || m == Rooms || m == Chat }

// A Codec is how messages are framed on the wire.
type Codec string

// The codecs.
const (
	Text      Codec = "text"  // lines
	JSON      Codec = "json"  // u32 total length and a document
	JSONLines Codec = "jsonl" // a document per line
	Frame     Codec = "frame" // u32 length and bytes
	WebSocket Codec = "ws"    // binary messages
)

// Codecs are all codecs but Mixed.
var Codecs = []Codec{Text, JSON, JSONLines, Frame, WebSocket}

// ErrOptions is returned by Run for options that are out of bounds or contradict each other.
var ErrOptions = errors.New("bench: bad options")

// shortLived reports whether connections come and go.
func (o *Options) shortLived() bool { return o.Mode == Connect || o.Mode == Churn }

// group is how many consecutive connections must be in one shard: a chat room.
func (o *Options) group() int {
	if o.Mode == Chat {
		return o.RoomSize
	}
	return 1
}

func (o *Options) groups() int { return (o.Conns + o.group() - 1) / o.group() }

// border is the first connection of generator process i.
func (o *Options) border(i int) uint32 {
	return uint32(min(o.groups()*i/max(o.Processes, 1)*o.group(), o.Conns))
}

// process is the generator process whose first connection is i.
func (o *Options) process(i uint32) (p int) {
	for p+1 < o.Processes && o.border(p+1) <= i {
		p++
	}
	return p
}

func (o *Options) senders() (n int) {
	for i := range o.Conns {
		if o.sends(uint32(i)) {
			n++
		}
	}
	return n
}

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
