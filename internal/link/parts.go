package link

import (
	"bytes"
	"encoding/binary"
	"iter"
	"slices"
	"strings"
)

// Status is the outcome of a request, and why a link ends.
type Status uint16

// The statuses of SPEC.md, which says which of them are reserved.
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

// Reason says why a client's connection ended.
type Reason uint16

// The close reasons of SPEC.md.
const (
	ReasonPeer         Reason = 1 + iota // the client closed, or its connection broke off cleanly
	ReasonKicked                         // business code closed it
	ReasonIdle                           // nothing was heard within the heartbeat limit
	ReasonSlowConsumer                   // it did not read what was sent to it
	ReasonProtocol                       // it sent what its protocol forbids
	ReasonTooBig                         // a message passed the size limit
	ReasonLimit                          // a message was not whole in time, or unfinished ones took too much memory
	ReasonHandshake                      // the handshake failed or took too long
	ReasonDraining                       // the gateway is closing down
	ReasonReplaced                       // a newer connection of the same uid
	ReasonNoWorker                       // reserved
	ReasonNetwork                        // the connection failed
	ReasonInternal                       // a fault of ours
	ReasonRefused                        // the business did not admit it
)

// Attribute is one key and value of a session.
type Attribute struct{ Key, Value string }

// MaxAttributes bounds what one client has of attributes, in bytes as AttributesSize counts them:
// every attachment carries them all. A worker and a gateway refuse by the same sum.
const MaxAttributes = 1 << 20

// attributeCost is what an attribute counts beside its key and value. It keeps the number of them
// within a u16: 65,536 keys that differ take more than MaxAttributes.
const attributeCost = 16

// AttributesSize is what attributes count against MaxAttributes.
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

// What a gateway lets one client have of groups, where it is not told otherwise: so many, and so
// many bytes of names as GroupSize counts them; and the most that it can be told.
const (
	DefaultGroups     = 4096
	DefaultGroupBytes = 256 << 10
	MaxGroups         = 1<<16 - 1
	MaxGroupBytes     = MaxGroups * GroupStep
)

// GroupStep is what the shortest name of a group counts, in bytes.
const GroupStep = 16

// GroupSize is what a group counts against the bytes of names that a client may have: those of its
// name, in steps of GroupStep.
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

// Cursor reads the parts of a payload one after the other. A part that is not there makes it bad for good: read all, then ask Bad once.
// The bytes it returns are views.
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

// Rest is what has not been read yet.
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

// SubprotocolHeader is the field of an attachment that the gateway adds: the sub-protocol that it agreed to. No client can send a field of that name.
const SubprotocolHeader = ":subprotocol"

// Attachment is what a worker learns of a client that is given to it.
type Attachment struct {
	Version    uint32 // of the attributes
	UIDVersion uint32
	Handled    uint32 // messages of the client before the next one
	Remote     string // the client's address, host:port
	Listener   string // the URL of the listener it came by
	UID        string // empty: not bound
	Target     string // WebSocket: the request target, path and query
	Headers    []Header
	Request    string // AppendRequest of Target and Headers, where the sender has it ready; then used instead of them. One that was read has it and no Headers
	Attrs      []Attribute
}

// AppendRequest appends the part of an attachment that tells of the client's request.
func AppendRequest[T string | []byte](dst []byte, target T, headers []Header) []byte {
	dst = AppendBytes(dst, target)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(headers)))
	for _, h := range headers {
		dst = AppendBytes(dst, h.Name)
		dst = AppendBytes(dst, h.Value)
	}
	return dst
}

// RequestTarget is the target in what AppendRequest appended; empty where that is.
func RequestTarget(request string) string {
	if request == "" {
		return ""
	}
	target, _ := cutBytes(request)
	return target
}

// RequestHeaders walks the header fields in what AppendRequest appended: names and values are views of it. Kept in one piece they take no more memory than they have bytes.
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

// cutBytes cuts what AppendBytes appended off the front of s.
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

// noRequest is what AppendRequest appends of a client that came without a request.
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

// Peer is where a gateway is reached by the others.
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

// Claim is what a client has with a uid that only one may have: of two the later wins, of two of the same time the one with the larger client id.
type Claim struct {
	Time   uint64 // of the binding, as the clocks of gateways go: nanoseconds since 1970, but never behind what they have heard of
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

// Newer reports whether version a is newer than b. Versions grow, and wrap.
func Newer(a, b uint32) bool { return int32(a-b) > 0 }
