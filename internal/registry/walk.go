package registry

import (
	"encoding/binary"
	"math/bits"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// Walk calls f once for each member of a target (link.TargetAll and so on): all members, or those
// in any of the groups, of any of the uids, or with any of the 16-byte client ids. The ids of
// except are left out. f may remove the member it receives, or others; a member that is removed
// before its turn is skipped. f must not add members, and must not call Walk or Select.
func (r *Registry) Walk(target uint16, keys [][]byte, except []link.ClientID, f func(*Member)) {
	r.startWalk()
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
				r.visit(r.Find(link.ClientID(key)), f)
			}
		}
	default:
		for _, key := range keys {
			if s := r.setsOf(target)[string(key)]; s != nil {
				r.walk(s, f)
			}
		}
	}
}

// walk iterates backwards: a removal moves the last entry to the gap. That entry was visited, or
// will still be visited at its new index. The marks ensure that no member is visited twice.
func (r *Registry) walk(s *set, f func(*Member)) {
	for i := len(s.entries) - 1; i >= 0; i-- { //nolint:modernize // s.entries changes meanwhile
		if i < len(s.entries) { // otherwise f has removed several
			r.visit(s.entries[i].member, f)
		}
	}
}

// WalkClaims calls f for each claim of the members in some slots: as many as most, from a slot on.
// It returns the slot to continue at, or 0 at the end. Over all parts, a claim that stays is
// visited exactly once. f must not change the Registry.
func (r *Registry) WalkClaims(from uint32, most int, f func(uid string, c link.Claim)) (next uint32) {
	if r.claims == 0 {
		return 0
	}
	start := min(int(from), len(r.members))
	end := min(start+most, len(r.members))
	for _, m := range r.members[start:end] {
		if m == nil {
			continue
		}
		if c, ok := m.Claim(); ok {
			f(m.uid.name, c)
		}
	}
	if end == len(r.members) {
		return 0
	}
	return uint32(end)
}

// startWalk starts a walk. No mark is equal to the new epoch.
func (r *Registry) startWalk() {
	if r.epoch++; r.epoch != 0 {
		return
	}
	r.epoch = 1 // after 2^32 walks, old marks would become valid again
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

// visit calls f unless this walk has already visited m.
func (r *Registry) visit(m *Member, f func(*Member)) {
	if m != nil && m.mark != r.epoch {
		m.mark = r.epoch
		f(m)
	}
}

func (r *Registry) setsOf(target uint16) map[string]*set {
	if target == link.TargetUIDs {
		return r.uids
	}
	return r.groups
}

// Count appends the answer to a link.Count: the number of members, or one u32 per group, uid or
// client id.
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
		} else if s := r.setsOf(target)[string(key)]; s != nil {
			n = len(s.entries)
		}
		dst = binary.BigEndian.AppendUint32(dst, uint32(n))
	}
	return dst
}

const (
	// maxPage is the size in bytes at which a page of Select ends. The row that exceeds it is part
	// of the page.
	maxPage = 256 << 10
	// maxRows is the most members of a page, so that a page with few names does not take long
	// either.
	maxRows = maxPage / 16
)

// Select appends the rows of the members of a target in the order of their slots, as SPEC.md
// defines them, starting at cursor (0: the first). It stops after limit members (0: as many as fit
// in a page), maxRows members or maxPage bytes. next is the cursor of the next page, 0 at the end.
// Over all pages, a member that stays is visited exactly once, even if others come and go
// meanwhile. A distinct name may appear again on another page. A page always fits in a frame: the
// data of one member is limited, its groups by Limits and its attributes by link.MaxAttributes.
func (r *Registry) Select(
	fields uint8, target uint16, keys [][]byte, limit int, cursor uint64, dst []byte,
) (rows []byte, next uint64) {
	if target != link.TargetAll {
		r.markSlots(target, keys)
	}
	if limit <= 0 || limit > maxRows {
		limit = maxRows
	}
	r.startWalk() // for distinct names
	start, taken := len(dst), 0
	for slot := int(min(cursor, uint64(len(r.members)))); slot < len(r.members); slot++ {
		if target != link.TargetAll {
			if slot = r.nextMarked(slot); slot < 0 {
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

// markSlots sets the bits of the slots whose members are in the target, and clears the others.
func (r *Registry) markSlots(target uint16, keys [][]byte) {
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

// nextMarked returns the first slot from the given one on whose bit is set, or -1.
func (r *Registry) nextMarked(slot int) int {
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
