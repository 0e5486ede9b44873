package link

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
)

// Status is the result of a request, or the reason why a link ends.
type Status uint16

// These are the statuses of SPEC.md, which says which of them are reserved.
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
	Failed
)

// Reason is the reason why a client's connection ended.
type Reason uint16

// These are the close reasons of SPEC.md.
const (
	ReasonPeer         Reason = 1 + iota // the client closed, or its connection ended without an error
	ReasonKicked                         // business code closed it
	ReasonIdle                           // nothing was received within the heartbeat limit
	ReasonSlowConsumer                   // it did not read what was sent to it
	ReasonProtocol                       // it violated its protocol
	ReasonTooBig                         // a message exceeded the size limit
	ReasonLimit                          // a message was not complete in time, or incomplete ones took too much memory
	ReasonHandshake                      // the handshake failed or took too long
	ReasonDraining                       // the gateway is draining
	ReasonReplaced                       // a newer connection of the same uid
	ReasonNoWorker                       // reserved
	ReasonNetwork                        // the connection failed
	ReasonInternal                       // an internal error
	ReasonRefused                        // its worker refused it
	ReasonExpired                        // what identified it has expired
)

// Attribute is one key and value of a session.
type Attribute struct{ Key, Value string }

// MaxAttributes is the most bytes of attributes of one client, as AttributesSize counts them: each
// attachment contains all of them. Workers and gateways check the same sum.
const MaxAttributes = 1 << 20

// attributeCost is the number of bytes that an attribute counts besides its key and value. It keeps
// the number of attributes within a u16: 65,536 different keys exceed MaxAttributes.
const attributeCost = 16

// AttributesSize returns the number of bytes that attrs count against MaxAttributes.
func AttributesSize(attrs []Attribute) int {
	n := 0
	for _, a := range attrs {
		n += attributeCost + len(a.Key) + len(a.Value)
	}
	return n
}

// ChangedAttributes returns the attributes after a change, in the order of their keys. With merge,
// the attributes of set replace those of old with the same keys, and an empty value removes its
// key. Without merge, the result has only those of set. Of equal keys the last one counts. Neither
// list is changed.
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

// MaxKey is the most bytes of a uid or of a group's name.
const MaxKey = 1024

// These are the defaults for the groups of one client on a gateway: their number, and the bytes of
// their names as GroupSize counts them. The last two are the highest values that can be configured.
const (
	DefaultGroups     = 4096
	DefaultGroupBytes = 256 << 10
	MaxGroups         = 1<<16 - 1
	MaxGroupBytes     = MaxGroups * GroupStep
)

// GroupStep is the size in bytes that the shortest name of a group counts.
const GroupStep = 16

// GroupSize returns the size that a group counts against the group bytes of a client: the length of
// its name, rounded up to a multiple of GroupStep.
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

// AppendAttributes appends a u16 count, and each key with a u16 length and value with a u32 length.
func AppendAttributes(dst []byte, attrs []Attribute) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(attrs)))
	for _, a := range attrs {
		dst = AppendBytes(dst, a.Key)
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(a.Value)))
		dst = append(dst, a.Value...)
	}
	return dst
}

// Cursor reads the parts of a payload one after the other. A part that is missing or truncated
// makes the Cursor bad for good, so a caller can read all parts and then call Bad once. The bytes
// that it returns are views.
type Cursor struct {
	b   []byte
	bad bool
}

// Read returns a Cursor over a payload.
func Read(payload []byte) Cursor { return Cursor{b: payload} }

// Bad reports whether a part was missing or truncated.
func (c *Cursor) Bad() bool { return c.bad }

// End reports whether all of the payload was read and Bad is false.
func (c *Cursor) End() bool { return !c.bad && len(c.b) == 0 }

// Rest returns the bytes that were not read yet.
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

// List reads a list that AppendList appended.
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

// Peer is the address at which other gateways reach a gateway.
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

// Claim is the claim of a client on a uid that only one client may have. The later claim wins. Of
// two claims with the same time, the one with the larger client id wins.
type Claim struct {
	// Time is the time of the binding in nanoseconds since 1970, by the clock of the gateway. The
	// clock is never behind a time received from another gateway.
	Time   uint64
	Client ClientID
}

// Before reports whether c loses against o.
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

// Evict reads the payload of an Evict frame. The uid is a view.
func (c *Cursor) Evict() (uid []byte, claim Claim) {
	uid = c.Bytes()
	claim.Client = c.ID()
	claim.Time = c.U64()
	return uid, claim
}

// Newer reports whether version a is newer than b. Versions grow and wrap around.
func Newer(a, b uint32) bool { return int32(a-b) > 0 }
