package link

import (
	"encoding/binary"
	"time"
)

// Header fields that a gateway adds to the request in an Authenticate frame. No client can send
// fields of these names.
const (
	RemoteHeader   = ":remote"   // the client's address, host:port
	ListenerHeader = ":listener" // the URL of its listener
)

// Question is the payload of an Authenticate frame.
type Question struct {
	Within  time.Duration // sent in milliseconds
	Request string        // made by AppendRequest
}

// AppendQuestion appends the payload of an Authenticate frame.
func AppendQuestion(dst []byte, q Question) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(q.Within.Milliseconds()))
	return append(dst, q.Request...)
}

// Question reads the payload of an Authenticate frame.
func (c *Cursor) Question() (q Question) {
	q.Within = time.Duration(c.U32()) * time.Millisecond
	request := string(c.b)
	c.Bytes() // the target
	for n := c.U16(); n > 0 && !c.bad; n-- {
		c.Bytes()
		c.Bytes()
	}
	if !c.bad && len(c.b) == 0 {
		q.Request = request
	}
	return q
}

// Known is what a worker knows of a client: the payload of an Identity frame with code 0.
type Known struct {
	Expires time.Time // zero: never; sent in milliseconds
	UID     string
	Attrs   []Attribute
}

// AppendKnown appends the payload of an Identity frame with code 0.
func AppendKnown(dst []byte, k *Known) []byte {
	ms := uint64(0)
	if !k.Expires.IsZero() {
		ms = uint64(max(k.Expires.UnixMilli(), 1))
	}
	dst = binary.BigEndian.AppendUint64(dst, ms)
	return AppendAttributes(AppendBytes(dst, k.UID), k.Attrs)
}

// Known reads the payload of an Identity frame with code 0.
func (c *Cursor) Known() (k Known) {
	if ms := c.U64(); ms > 0 {
		k.Expires = time.UnixMilli(int64(min(ms, 1<<62)))
	}
	k.UID = string(c.Bytes())
	k.Attrs = c.Attributes()
	return k
}
