package link

import (
	"bytes"
	"encoding/binary"
	"iter"
	"slices"
	"strings"
)

// Status is the outcome of a request, or the reason for the end of a link.
type Status uint16

// The statuses of SPEC.md, which marks those that are reserved.
const (
	OK Status = iota
	Gone
	Refused
	Conflict
	BadRequest
	Timeout
	Protocol
	Draining
	Replaced
	NoHeartbeat
)

// Reason is the reason why a client's connection ended.
type Reason uint16

// The close reasons of SPEC.md.
const (
	ReasonPeer         Reason = 1 + iota // the client closed the connection
	ReasonKicked                         // business code closed it
	ReasonIdle                           // nothing was received within the heartbeat limit
	ReasonSlowConsumer                   // it did not read what was sent to it
	ReasonProtocol                       // it broke its protocol
	ReasonTooBig                         // a message exceeded the size limit
	ReasonLimit                          // a message was not complete in time, or incomplete ones took too much memory
	ReasonHandshake                      // the handshake failed or took too long
	ReasonDraining                       // the gateway is draining
	ReasonReplaced                       // a newer connection of the same uid
	ReasonNoWorker                       // reserved
	ReasonNetwork                        // the connection failed
	ReasonInternal                       // an internal error
	ReasonRefused                        // the worker did not admit it
)

// Attribute is one key and value of a session.
type Attribute struct{ Key, Value string }

// MaxAttributes bounds the attributes of one client, in bytes as AttributesSize counts them, since
// every attachment carries all of them. Workers and gateways use the same count.
const MaxAttributes = 1 << 20

// attributeCost is what an attribute counts beside its key and value. It keeps the number of
// attributes within a u16: 65,536 different keys count more than MaxAttributes.
const attributeCost = 16

// AttributesSize returns what attributes count against MaxAttributes.
func AttributesSize(attrs []Attribute) int {
	n := 0
	for _, a := range attrs {
		n += attributeCost + len(a.Key) + len(a.Value)
	}
	return n
}

// ChangedAttributes is what becomes of old attributes when some are set, in the order of their keys: with merge those that are set stand in place of those of equal keys, and an empty
// value removes its key; else they are all there are. Of equal keys the last stands. Neither list is changed.
func ChangedAttributes(old, set []Attribute, merge bool) []Attribute {
	byKey := func(a, b Attribute) int { return strings.Compare(a.Key, b.Key) }
	set = slices.Clone(set)
	slices.Reverse(set)
	slices.SortStableFunc(set, byKey)
	set = slices.CompactFunc(set, func(a, b Attribute) bool { return a.Key == b.Key })
	if !merge {
		return set
	}
	all := make([]Attribute, 0, len(old)+len(set))
	for _, a := range old {
		if _, found := slices.BinarySearchFunc(set, a, byKey); !found {
			all = append(all, a)
		}
	}
	for _, a := range set {
		if a.Value != "" {
			all = append(all, a)
		}
	}
	slices.SortFunc(all, byKey)
	return all
}

// MaxKey is the most bytes of a uid, or of a group's name.
const MaxKey = 1024

// Limits on the groups of one client: the defaults and the largest values. There is a limit on
// their number, and one on the bytes of their names as GroupSize counts them.
const (
	DefaultGroups     = 4096
	DefaultGroupBytes = 256 << 10
	MaxGroups         = 1<<16 - 1
	MaxGroupBytes     = MaxGroups * GroupStep
)

// GroupStep is what the shortest name of a group counts, in bytes.
const GroupStep = 16

// GroupSize returns what a group counts against the bytes of names that a client may have: those of
// its name, in steps of GroupStep.
func GroupSize(name int) int { return (name + GroupStep - 1) / GroupStep * GroupStep }

// AppendBytes appends a u16 length and b, which has at most 65,535 bytes.
func AppendBytes[T string | []byte](dst []byte, b T) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(b)))
	return append(dst, b...)
}

// AppendList appends a u16 count and each element with its u16 length.
func AppendList[T string | []byte](dst []byte, list []T) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(list)))
	for _, b := range list {
		dst = AppendBytes(dst, b)
	}
	return dst
}

// AppendIDs appends a u16 count and the client ids.
func AppendIDs[ID ~[16]byte](dst []byte, ids []ID) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(ids)))
	for i := range ids {
		dst = append(dst, ids[i][:]...)
	}
	return dst
}

// AppendAttributes appends a u16 count, and each key with a u16 and value with a u32 length.
func AppendAttributes(dst []byte, attrs []Attribute) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(attrs)))
	for _, a := range attrs {
		dst = AppendBytes(dst, a.Key)
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(a.Value)))
		dst = append(dst, a.Value...)
	}
	return dst
}

// Cursor reads the parts of a payload one after the other. A missing part makes it bad for good:
// read all parts, then call Bad once. The bytes that it returns are views.
type Cursor struct {
	b   []byte
	bad bool
}

// Read returns a Cursor over a payload.
func Read(payload []byte) Cursor { return Cursor{b: payload} }

// Bad reports whether a part was cut short.
func (c *Cursor) Bad() bool { return c.bad }

// End reports whether all of the payload has been read, and no part was cut short.
func (c *Cursor) End() bool { return !c.bad && len(c.b) == 0 }

// Rest returns what has not been read yet.
func (c *Cursor) Rest() []byte { return c.b }

// Take reads n bytes.
func (c *Cursor) Take(n int) []byte {
	if n < 0 || n > len(c.b) {
		c.b, c.bad = nil, true
		return nil
	}
	v := c.b[:n:n]
	c.b = c.b[n:]
	return v
}

// U8 reads one byte.
func (c *Cursor) U8() uint8 {
	if v := c.Take(1); v != nil {
		return v[0]
	}
	return 0
}

// U16 reads a u16.
func (c *Cursor) U16() uint16 {
	if v := c.Take(2); v != nil {
		return binary.BigEndian.Uint16(v)
	}
	return 0
}

// U32 reads a u32.
func (c *Cursor) U32() uint32 {
	if v := c.Take(4); v != nil {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

// U64 reads a u64.
func (c *Cursor) U64() uint64 {
	if v := c.Take(8); v != nil {
		return binary.BigEndian.Uint64(v)
	}
	return 0
}

// Bytes reads a u16 length and that many bytes.
func (c *Cursor) Bytes() []byte { return c.Take(int(c.U16())) }

// List reads what AppendList appended.
func (c *Cursor) List() [][]byte {
	list := make([][]byte, c.U16())
	for i := range list {
		list[i] = c.Bytes()
	}
	return list
}

// ID reads a client id.
func (c *Cursor) ID() (id ClientID) {
	copy(id[:], c.Take(len(id)))
	return id
}

// Attributes reads attributes into new strings.
func (c *Cursor) Attributes() []Attribute {
	n := int(c.U16())
	if n*6 > len(c.b) {
		c.b, c.bad = nil, true
	}
	if n == 0 || c.bad {
		return nil
	}
	attrs := make([]Attribute, 0, n)
	for range n {
		key := string(c.Bytes())
		value := string(c.Take(int(c.U32())))
		attrs = append(attrs, Attribute{key, value})
	}
	return attrs
}

// Header is one header field of a client's request.
type Header struct{ Name, Value string }

// SubprotocolHeader is the name of a header field that the gateway adds to an attachment: the
// subprotocol agreed on. No client can send a field of that name.
const SubprotocolHeader = ":subprotocol"

// Attachment is what a worker receives about a client that is attached to it.
type Attachment struct {
	Version    uint32 // of the attributes
	UIDVersion uint32
	Handled    uint32 // messages of the client before the next one
	Remote     string // the client's address, host:port
	Listener   string // the URL of the listener it came by
	UID        string // empty: not bound
	Target     string // WebSocket: the request target, path and query
	Headers    []Header
	// The result of AppendRequest for Target and Headers, where the sender has it; it is used instead
	// of them. An Attachment that was read has it, and no Headers.
	Request string
	Attrs   []Attribute
}

// AppendRequest appends the part of an attachment that describes the client's request.
func AppendRequest[T string | []byte](dst []byte, target T, headers []Header) []byte {
	dst = AppendBytes(dst, target)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(headers)))
	for _, h := range headers {
		dst = AppendBytes(dst, h.Name)
		dst = AppendBytes(dst, h.Value)
	}
	return dst
}

// RequestTarget returns the target in the result of AppendRequest; "" where that is empty.
func RequestTarget(request string) string {
	if request == "" {
		return ""
	}
	target, _ := cutBytes(request)
	return target
}

// RequestHeaders iterates over the header fields in the result of AppendRequest. Names and values
// are views of it, so that a stored request takes no more memory than its bytes.
func RequestHeaders(request string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		if request == "" {
			return
		}
		target := RequestTarget(request)
		for rest := request[2+len(target)+2:]; rest != ""; {
			var name, value string
			name, rest = cutBytes(rest)
			value, rest = cutBytes(rest)
			if !yield(name, value) {
				return
			}
		}
	}
}

// cutBytes cuts the result of AppendBytes from the front of s.
func cutBytes(s string) (b, rest string) {
	n := 2 + (int(s[0])<<8 | int(s[1]))
	return s[2:n], s[n:]
}

// AppendAttachment appends the payload of an Attach frame.
func AppendAttachment(dst []byte, a *Attachment) []byte {
	dst = binary.BigEndian.AppendUint32(dst, a.Version)
	dst = binary.BigEndian.AppendUint32(dst, a.UIDVersion)
	dst = binary.BigEndian.AppendUint32(dst, a.Handled)
	dst = AppendBytes(dst, a.Remote)
	dst = AppendBytes(dst, a.Listener)
	dst = AppendBytes(dst, a.UID)
	if len(a.Request) > 0 {
		dst = append(dst, a.Request...)
	} else {
		dst = AppendRequest(dst, a.Target, a.Headers)
	}
	return AppendAttributes(dst, a.Attrs)
}

// noRequest is the result of AppendRequest for a client without a request.
const noRequest = "\x00\x00\x00\x00"

// Attachment reads the payload of an Attach frame.
func (c *Cursor) Attachment() (a Attachment) {
	a.Version = c.U32()
	a.UIDVersion = c.U32()
	a.Handled = c.U32()
	a.Remote = string(c.Bytes())
	a.Listener = string(c.Bytes())
	a.UID = string(c.Bytes())
	request := c.b
	c.Bytes() // the target
	for n := c.U16(); n > 0 && !c.bad; n-- {
		c.Bytes()
		c.Bytes()
	}
	if request = request[:len(request)-len(c.b)]; !c.bad && len(request) > len(noRequest) {
		a.Request = string(request)
		a.Target = RequestTarget(a.Request)
	}
	a.Attrs = c.Attributes()
	return a
}

// Peer is the address of a gateway for other gateways.
type Peer struct {
	ID   uint32
	Addr string // host:port
}

// AppendPeers appends the payload of a Peers frame.
func AppendPeers(dst []byte, peers []Peer) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(peers)))
	for _, p := range peers {
		dst = AppendBytes(binary.BigEndian.AppendUint32(dst, p.ID), p.Addr)
	}
	return dst
}

// Peers reads the payload of a Peers frame.
func (c *Cursor) Peers() []Peer {
	var peers []Peer
	for n := c.U16(); n > 0 && !c.bad; n-- {
		peers = append(peers, Peer{c.U32(), string(c.Bytes())})
	}
	return peers
}

// Claim is a client's claim to a uid that only one client may have. Of two claims the later wins,
// and of two at the same time the one with the larger client id.
type Claim struct {
	// The time of the binding by the clocks of gateways: nanoseconds since 1970, but never less than a
	// time that the gateway has received.
	Time   uint64
	Client ClientID
}

// Before reports whether a claim loses against another.
func (c Claim) Before(o Claim) bool {
	if c.Time != o.Time {
		return c.Time < o.Time
	}
	return bytes.Compare(c.Client[:], o.Client[:]) < 0
}

// AppendEvict appends the payload of an Evict frame.
func AppendEvict[T string | []byte](dst []byte, uid T, c Claim) []byte {
	dst = append(AppendBytes(dst, uid), c.Client[:]...)
	return binary.BigEndian.AppendUint64(dst, c.Time)
}

// Evict reads the payload of an Evict frame; the uid is a view.
func (c *Cursor) Evict() (uid []byte, claim Claim) {
	uid = c.Bytes()
	claim.Client = c.ID()
	claim.Time = c.U64()
	return uid, claim
}

// Newer reports whether version a is newer than b. Versions increase and wrap around.
func Newer(a, b uint32) bool { return int32(a-b) > 0 }
