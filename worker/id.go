package worker

import "github.com/seed-7410fe32/sluice/internal/link"

// ClientID names one client for the time of its connection. It is opaque, cannot be guessed, and is
// never used again. The zero ClientID names nobody.
type ClientID [16]byte

// ParseClientID reads the text form of an id.
func ParseClientID(s string) (ClientID, error) {
	id, err := link.ParseClientID(s)
	return ClientID(id), err
}

// IsZero reports whether the id names nobody.
func (id ClientID) IsZero() bool { return id == ClientID{} }

// String returns the text form of the id: 26 lower-case letters and digits.
func (id ClientID) String() string { return link.ClientID(id).String() }

// MarshalText implements encoding.TextMarshaler.
func (id ClientID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *ClientID) UnmarshalText(b []byte) (err error) {
	*id, err = ParseClientID(string(b))
	return err
}

// Where a gateway holds the client.
func (id ClientID) gateway() uint32 { return link.ClientID(id).Gateway() }
func (id ClientID) loop() uint8     { return link.ClientID(id).Loop() }
func (id ClientID) slot() uint32    { return link.ClientID(id).Slot() }
func (id ClientID) token() uint64   { return link.ClientID(id).Token() }

// Reason says why a client's connection has ended.
type Reason uint16

// The reasons.
const (
	ReasonPeer         Reason = 1 + iota // the client closed it
	ReasonKicked                         // business code closed it
	ReasonIdle                           // nothing was received within the heartbeat limit
	ReasonSlowConsumer                   // the client did not read what was sent to it
	ReasonProtocol                       // the client broke its protocol
	ReasonTooBig                         // a message was larger than the gateway allows
	ReasonLimit                          // a message was incomplete for too long, or incomplete messages took too much memory
	ReasonHandshake                      // no first message came in time
	ReasonDraining                       // the gateway shuts down
	ReasonReplaced                       // a newer connection has bound the uid exclusively
	_
	ReasonNetwork  // the connection failed
	ReasonInternal // a fault of the gateway, or Connect has failed
	ReasonRefused  // Connect has refused it (Refuse)
)

// String returns the reason in words, as clients get it.
func (r Reason) String() string { return link.Reason(r).String() }
