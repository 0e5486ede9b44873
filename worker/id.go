package worker

import "github.com/seed-7410fe32/sluice/internal/link"

// ClientID identifies a client for the time of its connection. It is opaque, cannot be guessed, and
// is never used again. The zero ClientID identifies no client.
type ClientID [16]byte

// ParseClientID parses the text form of an id.
func ParseClientID(s string) (ClientID, error) {
	id, err := link.ParseClientID(s)
	return ClientID(id), err
}

// IsZero reports whether the id is the zero ClientID.
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

// The parts of an id say where a gateway keeps the client.
func (id ClientID) gateway() uint32 { return link.ClientID(id).Gateway() }
func (id ClientID) loop() uint8     { return link.ClientID(id).Loop() }
func (id ClientID) slot() uint32    { return link.ClientID(id).Slot() }
func (id ClientID) token() uint64   { return link.ClientID(id).Token() }

// Reason is why a client's connection has ended.
type Reason uint16

// Reasons for the end of a connection.
const (
	ReasonPeer         Reason = 1 + iota // the client closed the connection
	ReasonKicked                         // a worker closed the connection
	ReasonIdle                           // the client sent nothing for too long
	ReasonSlowConsumer                   // the client did not read fast enough
	ReasonProtocol                       // the client violated its protocol
	ReasonTooBig                         // a message was larger than the gateway allows
	ReasonLimit                          // a message was incomplete for too long, or for too many bytes
	ReasonHandshake                      // the first message did not come in time
	ReasonDraining                       // the gateway shuts down
	ReasonReplaced                       // another client has bound the uid exclusively
	_
	ReasonNetwork  // the connection failed
	ReasonInternal // an error in the gateway, or Connect has failed
	ReasonRefused  // Connect has refused the client (Refuse)
	ReasonExpired  // the client's token has expired
)

// String returns the reason in words, as clients receive it.
func (r Reason) String() string { return link.Reason(r).String() }
