package registry

import (
	"encoding/binary"
	"math/bits"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// Walk calls f once for each member that the target names: all, or those in any of the groups, with
// any of the uids, or with one of the 16-byte client ids (link.TargetAll and so on), except the
// given ids. f may remove members, the one it is given or others; a member that is removed before
// its turn is skipped. f must not add members, and must not call Walk or Select.
func (r *Registry) Walk(target uint16, keys [][]byte, except []link.ClientID, f func(*Member)) {
	r.tick()
	for _, id := range except {
		if m := r.Find(id); m != nil {
			m.mark = r.epoch
		}
	}
	switch target {
	case link.TargetAll:
		for _, m := range r.members {
			if m != nil && m.mark != r.epoch {
				f(m)
			}
		}
	case link.TargetClients:
		for _, key := range keys {
			if len(key) == len(link.ClientID{}) {
				r.meet(r.Find(link.ClientID(key)), f)
			}
		}
	default:
		for _, key := range keys {
			if s := r.named(target)[string(key)]; s != nil {
				r.walk(s, f)
			}
		}
	}
}

// walk goes backwards. A removal fills the gap with the last entry, which has been visited or moves
// to a place that is still to come. The marks make sure that no member is visited twice.
func (r *Registry) walk(s *set, f func(*Member)) {
	for i := len(s.entries) - 1; i >= 0; i-- { //nolint:modernize // f may remove entries
		if i < len(s.entries) { // else f has removed several
			r.meet(s.entries[i].member, f)
		}
	}
}

// tick begins a walk: no member has the mark of the new epoch.
func (r *Registry) tick() {
	if r.epoch++; r.epoch != 0 {
		return
	}
	r.epoch = 1 // after 2^32 walks old marks would count again
	for _, m := range r.members {
		if m != nil {
			m.mark = 0
		}
	}
	for _, of := range []map[string]*set{r.groups, r.uids} {
		for _, s := range of {
			s.mark = 0
		}
	}
}

// meet calls f unless this walk has visited m.
func (r *Registry) meet(m *Member, f func(*Member)) {
	if m != nil && m.mark != r.epoch {
		m.mark = r.epoch
		f(m)
	}
}

func (r *Registry) named(target uint16) map[string]*set {
	if target == link.TargetUIDs {
		return r.uids
	}
	return r.groups
}

// Count appends the answer to a link.Count: the number of members, or one u32 for each group, uid
// or client id.
func (r *Registry) Count(target uint16, keys [][]byte, dst []byte) []byte {
	if target == link.TargetAll {
		return binary.BigEndian.AppendUint32(dst, uint32(r.count))
	}
	for _, key := range keys {
		n := 0
		if target == link.TargetClients {
			if len(key) == len(link.ClientID{}) && r.Find(link.ClientID(key)) != nil {
				n = 1
			}
		} else if s := r.named(target)[string(key)]; s != nil {
			n = len(s.entries)
		}
		dst = binary.BigEndian.AppendUint32(dst, uint32(n))
	}
	return dst
}

const (
	maxPage = 256 << 10    // where a page of Select ends, in bytes; the row that passes it still belongs to it
	maxRows = maxPage / 16 // and in members, so that a page of short names takes no long time
)

// Select appends the rows of the members that the target names, in the order of their slots, from
// the cursor on (0: the beginning), in the format of SPEC.md. It stops after limit members (0: as
// many as fit a page), maxRows members or maxPage bytes, and returns the cursor of the next page, 0
// at the end. A member that stays is on exactly one page, whatever members come and go meanwhile. A
// distinct name may come again on another page. A page always fits into a frame, since the groups
// and the attributes of a member are bounded by Limits and link.MaxAttributes.
func (r *Registry) Select(fields uint8, target uint16, keys [][]byte, limit int, cursor uint64,
	dst []byte) (rows []byte, next uint64) {
	if target != link.TargetAll {
		r.pick(target, keys)
	}
	if limit <= 0 || limit > maxRows {
		limit = maxRows
	}
	r.tick() // for distinct names
	start, taken := len(dst), 0
	for slot := int(min(cursor, uint64(len(r.members)))); slot < len(r.members); slot++ {
		if target != link.TargetAll {
			if slot = r.picked(slot); slot < 0 {
				break
			}
		}
		m := r.members[slot]
		if m == nil {
			continue
		}
		if taken == limit || len(dst)-start >= maxPage {
			return dst, uint64(slot)
		}
		dst = r.row(dst, m, fields)
		taken++
	}
	return dst, 0
}

// pick sets the bits of the slots whose members the target names, and clears all others.
func (r *Registry) pick(target uint16, keys [][]byte) {
	if n := (len(r.members) + 63) / 64; n > cap(r.slots) {
		r.slots = make([]uint64, n)
	} else {
		r.slots = r.slots[:n]
		clear(r.slots)
	}
	r.Walk(target, keys, nil, func(m *Member) {
		slot := m.ID.Slot()
		r.slots[slot/64] |= 1 << (slot % 64)
	})
}

// picked returns the first picked slot from the given one on, -1 without one.
func (r *Registry) picked(slot int) int {
	word := r.slots[slot/64] >> (slot % 64) << (slot % 64)
	for i := slot / 64; ; word = r.slots[i] {
		if word != 0 {
			return i*64 + bits.TrailingZeros64(word)
		}
		if i++; i == len(r.slots) {
			return -1
		}
	}
}

// row appends the requested fields of m.
func (r *Registry) row(dst []byte, m *Member, fields uint8) []byte {
	switch fields {
	case link.FieldDistinctUIDs:
		if m.uid != nil {
			dst = r.distinct(dst, m.uid)
		}
		return dst
	case link.FieldDistinctGroups:
		for _, p := range m.groups {
			dst = r.distinct(dst, p.set)
		}
		return dst
	}
	dst = append(dst, m.ID[:]...)
	if fields&link.FieldUID != 0 {
		dst = link.AppendBytes(dst, m.UID())
	}
	if fields&link.FieldGroups != 0 {
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(m.groups)))
		for _, p := range m.groups {
			dst = link.AppendBytes(dst, p.set.name)
		}
	}
	if fields&link.FieldAttrs != 0 {
		dst = m.AppendAttrs(dst)
	}
	return dst
}

func (r *Registry) distinct(dst []byte, s *set) []byte {
	if s.mark == r.epoch {
		return dst
	}
	s.mark = r.epoch
	return link.AppendBytes(dst, s.name)
}
