package gateway

import (
	"unicode/utf8"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// payload is what a frame from a worker carries, as SPEC.md has it.
type payload uint8

const (
	unknown     payload = iota
	nothing             // none
	anything            // bytes
	message             // bytes, behind a key where the flag LATEST says so
	lastMessage         // bytes where the flag LAST says so, a code and a text where REFUSED does, else none
	name                // a group
	binding             // the version of a uid and the uid
	version             // that of a uid
	change              // version and attributes
	targets             // a list of keys
	publication         // a list of keys, ids and a message
	eviction            // a uid and a claim
	peers               // a list of gateways
	selection           // fields, limit, cursor and a list of keys
)

// fits reports whether a frame's payload is that from its first byte to its last. No name is empty:
// neither a uid, nor a group, nor the key of an attribute.
func (p payload) fits(f *link.Frame) bool {
	c, ok := link.Read(f.Payload), true
	switch p {
	case anything:
		return true
	case message:
		return skipMessage(&c, f)
	case lastMessage:
		ok = len(f.Payload) == 0 || f.Has(link.FlagLast) || f.Has(link.FlagRefused) && isRefusal(f.Payload)
		c = link.Cursor{}
	case name:
		return isName(f.Payload)
	case binding:
		c.U32()
		return !c.Bad() && isName(c.Rest())
	case version:
		c.U32()
	case change:
		c.U32() // version
		ok = skipAttributes(&c)
	case targets:
		ok = skipTargets(&c, f.Code)
	case publication:
		ok = skipTargets(&c, f.Code)
		c.Take(len(link.ClientID{}) * int(c.U16())) // those left out
		return ok && skipMessage(&c, f)
	case eviction:
		uid, _ := c.Evict()
		ok = len(uid) > 0
	case peers:
		c.Peers()
	case selection:
		ok = knownFields(c.U8())
		c.Take(4 + 8) // limit, cursor
		ok = skipTargets(&c, f.Code) && ok
	}
	return ok && c.End()
}

// isRefusal reports whether a payload can be what a client is told that is not let in: a close frame has room for it (RFC 6455 section 5.5).
func isRefusal(b []byte) bool { return len(b) >= 2 && len(b) <= 2+123 && utf8.Valid(b[2:]) }

// isName reports whether a payload can be a uid or a group.
func isName(b []byte) bool { return len(b) > 0 && len(b) <= link.MaxKey }

// skipMessage reads the key of a message, whose bytes are the rest.
func skipMessage(c *link.Cursor, f *link.Frame) bool {
	if f.Has(link.FlagLatest) {
		c.Bytes()
	}
	return !c.Bad()
}

func skipAttributes(c *link.Cursor) bool {
	for n := c.U16(); n > 0; n-- {
		if len(c.Bytes()) == 0 { // or there is none
			return false
		}
		c.Take(int(c.U32()))
	}
	return true
}

// skipTargets reads the list of those that a command is for: nobody is named where it is for all.
func skipTargets(c *link.Cursor, target uint16) bool {
	n := c.U16()
	if target > link.TargetClients || target == link.TargetAll && n > 0 {
		return false
	}
	for ; n > 0; n-- {
		size := len(c.Bytes()) // 0: there is none
		if size == 0 || target == link.TargetClients && size != len(link.ClientID{}) {
			return false
		}
	}
	return true
}

// knownFields reports whether a SELECT may ask for the fields.
func knownFields(fields uint8) bool {
	const beside = link.FieldUID | link.FieldGroups | link.FieldAttrs
	return fields&^beside == 0 || fields == link.FieldDistinctUIDs || fields == link.FieldDistinctGroups
}
