package link

import "encoding/binary"

// MaxSets is the most sets that a Locate or a Forget names.
const MaxSets = 512

// These are the kinds of sets.
const (
	SetGroup = 'g'
	SetUID   = 'u'
)

// AppendSet appends a set: its kind and its name.
func AppendSet(dst []byte, kind byte, name string) []byte {
	return AppendBytes(append(dst, kind), name)
}

// Set reads a set. The cursor is bad if its kind is unknown or its name is empty or too long.
func (c *Cursor) Set() (kind byte, name []byte) {
	kind, name = c.U8(), c.Bytes()
	if kind != SetGroup && kind != SetUID || len(name) == 0 || len(name) > MaxKey {
		c.bad = true
	}
	return kind, name
}

// AppendHolders appends the gateways of one set of the Reply to Locate.
func AppendHolders(dst []byte, gateways []uint32) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(gateways)))
	for _, id := range gateways {
		dst = binary.BigEndian.AppendUint32(dst, id)
	}
	return dst
}

// Holders reads what AppendHolders has appended.
func (c *Cursor) Holders() []uint32 {
	n := int(c.U16())
	b := c.Take(4 * n)
	if c.bad {
		return nil
	}
	list := make([]uint32, n)
	for i := range list {
		list[i] = binary.BigEndian.Uint32(b[4*i:])
	}
	return list
}
