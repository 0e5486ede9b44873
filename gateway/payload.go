package gateway

import (
	"unicode/utf8"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// payload is the form of a frame's payload, as in SPEC.md.
type payload uint8

const (
	unknown     payload = iota
	nothing             // empty
	anything            // any bytes
	message             // any bytes, after a key if the flag LATEST is set
	lastMessage         // any bytes with flag LAST; a code and a text with REFUSED; else empty
	name                // the name of a group
	binding             // the version of a uid, and the uid
	version             // the version of a uid
	change              // a version and attributes
	targets             // a list of keys
	publication         // a list of keys, a list of ids, and a message
	eviction            // a uid and a claim
	peers               // a list of gateways
	selection           // fields, limit, cursor and a list of keys
)

// fits reports whether the whole payload of a frame has the form. Uids, groups and attribute keys
// must not be empty.
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
		c.Take(len(link.ClientID{}) * int(c.U16())) // excluded clients
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

// isRefusal reports whether a payload is a valid refusal, which fits into a close frame (RFC 6455
// section 5.5).
func isRefusal(b []byte) bool { return len(b) >= 2 && len(b) <= 2+123 && utf8.Valid(b[2:]) }

// isName reports whether a payload is a valid uid or group.
func isName(b []byte) bool { return len(b) > 0 && len(b) <= link.MaxKey }

// skipMessage reads a message's key, if it has one. The rest is the message.
func skipMessage(c *link.Cursor, f *link.Frame) bool {
	if f.Has(link.FlagLatest) {
		c.Bytes()
	}
	return !c.Bad()
}

func skipAttributes(c *link.Cursor) bool {
	for n := c.U16(); n > 0; n-- {
		if len(c.Bytes()) == 0 { // empty, or missing
			return false
		}
		c.Take(int(c.U32()))
	}
	return true
}

// skipTargets reads a list of targets. It must be empty if the command is for all clients.
func skipTargets(c *link.Cursor, target uint16) bool {
	n := c.U16()
	if target > link.TargetClients || target == link.TargetAll && n > 0 {
		return false
	}
	for ; n > 0; n-- {
		size := len(c.Bytes()) // 0: empty or missing
		if size == 0 || target == link.TargetClients && size != len(link.ClientID{}) {
			return false
		}
	}
	return true
}

// knownFields reports whether the fields of a SELECT are valid.
func knownFields(fields uint8) bool {
	const beside = link.FieldUID | link.FieldGroups | link.FieldAttrs
	return fields&^beside == 0 || fields == link.FieldDistinctUIDs || fields == link.FieldDistinctGroups
}
