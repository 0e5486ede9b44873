package roster

import (
	"cmp"
	"encoding/binary"
	"slices"

	"sluice/internal/link"
)

// Walk calls f once for each member that is meant: all, or those in any of the groups, of any of the uids, or with one of the 16-byte client ids
// (link.TargetAll and so on), less the ids left out. f may remove the member it is given, and no other.
func (r *Roster) Walk(target uint16, keys [][]byte, except []link.ClientID, f func(*Member)) {
	r.epoch++
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
				for i := len(s.entries) - 1; i >= 0; i-- { // backwards: a removal moves only what has been met
					r.meet(s.entries[i].member, f)
				}
			}
		}
	}
}

// meet calls f unless this walk has met m.
func (r *Roster) meet(m *Member, f func(*Member)) {
	if m != nil && m.mark != r.epoch {
		m.mark = r.epoch
		f(m)
	}
}

func (r *Roster) named(target uint16) map[string]*set {
	if target == link.TargetUIDs {
		return r.uids
	}
	return r.groups
}

// Count appends the answer to a link.Count: how many members there are, or one u32 for each group, uid or client id.
func (r *Roster) Count(target uint16, keys [][]byte, dst []byte) []byte {
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

// maxPage is where a page of Select ends, in bytes; the row that passes it still belongs to it.
const maxPage = 256 << 10

// Select appends the rows of the members that are meant, in order of their slots, from the cursor on (0: the beginning), as SPEC.md lays them out. It stops after
// limit members (0: no limit) or maxPage bytes, and returns where the next page begins, 0 at the end. A member that stays is met
// exactly once over all pages, whoever comes and goes meanwhile; a distinct name may come again on another page.
func (r *Roster) Select(fields uint8, target uint16, keys [][]byte, limit int, cursor uint64, dst []byte) (rows []byte, next uint64) {
	meant := r.members
	if target != link.TargetAll {
		r.page = r.page[:0]
		r.Walk(target, keys, nil, func(m *Member) { r.page = append(r.page, m) })
		slices.SortFunc(r.page, func(a, b *Member) int { return cmp.Compare(a.ID.Slot(), b.ID.Slot()) })
		meant = r.page
	}
	r.epoch++ // for distinct names
	start, taken := len(dst), 0
	for _, m := range meant {
		if m == nil || uint64(m.ID.Slot()) < cursor {
			continue
		}
		if limit > 0 && taken == limit || len(dst)-start >= maxPage {
			clear(r.page)
			return dst, uint64(m.ID.Slot())
		}
		dst = r.row(dst, m, fields)
		taken++
	}
	clear(r.page)
	return dst, 0
}

func (r *Roster) row(dst []byte, m *Member, fields uint8) []byte {
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
		dst = link.AppendAttributes(binary.BigEndian.AppendUint32(dst, m.version), m.attrs)
	}
	return dst
}

func (r *Roster) distinct(dst []byte, s *set) []byte {
	if s.mark == r.epoch {
		return dst
	}
	s.mark = r.epoch
	return link.AppendBytes(dst, s.name)
}
