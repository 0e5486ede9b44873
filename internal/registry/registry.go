// Package registry knows the clients of one loop of a gateway: the uid, groups and attributes of
// each, and the recipients of a message to many. It has one owner, no locks and no I/O.
package registry

import (
	"cmp"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// Registry holds the clients of one loop. The loop owns everything in it and in its members.
type Registry struct {
	members []*Member // by the slot in their ID; nil: free; bound: clients, per loop
	count   int
	groups  map[string]*set // bound: groups of a client
	uids    map[string]*set // bound: clients, per loop
	epoch   uint32          // of the last walk; not 0
	slots   []uint64        // scratch of Select: one bit for each slot
	limits  Limits
}

// Limits are the bounds on the groups of one member. Zero means the default, link.DefaultGroups and
// link.DefaultGroupBytes. More than link.MaxGroups and link.MaxGroupBytes counts as these.
type Limits struct {
	Groups     int // how many
	GroupBytes int // of their names, as link.GroupSize counts them
}

// Member is one client. It is part of what its owner knows of the client, which the owner finds by
// the slot in the ID. It is small while the client has no groups and attributes. The fields that
// each message needs come first.
type Member struct {
	ID         link.ClientID // set before Add
	version    uint32        // of attrs
	mark       uint32        // the walk that has met or excluded it
	uid        *set          // nil: not bound; after Remove a name and no more
	uidVersion uint32
	uidAt      int32
	groups     []place           // bound: groups of a client
	attrs      *[]link.Attribute // nil: none
	names      uint16            // of groups: link.GroupSize of all, in the least there is of it
	present    bool
}

// set is the members of one group or uid. It exists while it has members.
type set struct {
	name    string
	of      map[string]*set // bound: none, one of the registry's maps
	entries []entry         // bound: groups of a client
	since   []uint64        // of a uid: when each entry was bound; nil: of a group; bound: groups of a client
	mark    uint32
}

// entry is a member of a set, and the index of the set in the member's groups; -1 for a uid.
type entry struct {
	member *Member
	group  int32
}

// place is one group of a member, and the member's index in the group.
type place struct {
	set *set
	at  int32
}

// New returns an empty Registry.
func New(limits Limits) *Registry {
	limits.Groups = min(cmp.Or(limits.Groups, link.DefaultGroups), link.MaxGroups)
	limits.GroupBytes = min(cmp.Or(limits.GroupBytes, link.DefaultGroupBytes), link.MaxGroupBytes)
	return &Registry{groups: make(map[string]*set), uids: make(map[string]*set), limits: limits}
}

// step is the number of bytes that the shortest name of a group counts. All names count a multiple
// of it.
const step = link.GroupStep

// Len is the number of members.
func (r *Registry) Len() int { return r.count }

// Add makes m, whose ID is set, a member. The slot in its ID must be free.
func (r *Registry) Add(m *Member) {
	slot := int(m.ID.Slot())
	for slot >= len(r.members) {
		r.members = append(r.members, nil)
	}
	r.members[slot] = m
	m.present, m.uid = true, nil
	r.count++
}

// Remove removes m from the registry. Its uid and attributes can still be read.
func (r *Registry) Remove(m *Member) {
	if !m.present {
		return
	}
	if m.uid != nil {
		m.uid.remove(m.uidAt)
	}
	for len(m.groups) > 0 {
		m.leave(len(m.groups) - 1)
	}
	m.groups = nil // and m.names is 0
	r.members[m.ID.Slot()] = nil
	m.present = false
	r.count--
}

// Find returns the member with the id, nil when there is none.
func (r *Registry) Find(id link.ClientID) *Member {
	if slot := int(id.Slot()); slot < len(r.members) {
		if m := r.members[slot]; m != nil && m.ID == id {
			return m
		}
	}
	return nil
}

// UID returns the uid that m is bound to, "" without one.
func (m *Member) UID() string {
	if m.uid == nil {
		return ""
	}
	return m.uid.name
}

// Bind gives m the uid, in place of the one it had, at a time that Older goes by. The uid is not empty.
func (r *Registry) Bind(m *Member, uid string, at uint64) {
	if !m.present {
		return
	}
	m.uidVersion++
	if m.UID() != uid {
		m.unbind()
		m.uid = open(r.uids, uid)
		m.uidAt = m.uid.add(m, -1)
		m.uid.since = append(m.uid.since, at)
	}
	m.uid.since[m.uidAt] = at
}

// Unbind removes m's uid.
func (r *Registry) Unbind(m *Member) {
	if m.present {
		m.uidVersion++
		m.unbind()
	}
}

func (m *Member) unbind() {
	if m.uid != nil {
		m.uid.remove(m.uidAt)
		m.uid = nil
	}
}

// Older calls f for each member, other than the claimant, that was bound to the uid before the
// claim. f may remove the member.
func (r *Registry) Older(uid []byte, c link.Claim, f func(*Member)) {
	s := r.uids[string(uid)]
	if s == nil {
		return
	}
	for i := len(s.entries) - 1; i >= 0; i-- { //nolint:modernize // f may remove entries
		// The entry that takes the place of a removed one has been visited.
		if m := s.entries[i].member; m.ID != c.Client && (link.Claim{Time: s.since[i], Client: m.ID}).Before(c) {
			f(m)
		}
	}
}

// Join adds m to a group, whose name is not empty. It reports whether m is in the group now. It is
// not when the limits forbid it, or when m has been removed.
func (r *Registry) Join(m *Member, group string) bool {
	if !m.present {
		return false
	}
	if m.inGroup(r.groups[group]) >= 0 {
		return true
	}
	size := link.GroupSize(len(group))
	if len(m.groups) >= r.limits.Groups || int(m.names)*step+size > r.limits.GroupBytes {
		return false
	}
	m.names += uint16(size / step)
	s := open(r.groups, group)
	m.groups = append(m.groups, place{s, s.add(m, int32(len(m.groups)))})
	return true
}

// Leave removes m from a group. It reports whether m was in it.
func (r *Registry) Leave(m *Member, group string) bool {
	k := m.inGroup(r.groups[group])
	if k < 0 {
		return false
	}
	m.leave(k)
	return true
}

// Dissolve removes all members from a group and returns their number.
func (r *Registry) Dissolve(group string) int {
	s := r.groups[group]
	if s == nil {
		return 0
	}
	n := len(s.entries)
	for len(s.entries) > 0 {
		last := s.entries[len(s.entries)-1]
		last.member.leave(int(last.group))
	}
	return n
}

// inGroup returns the index of s in m's groups, -1 when m is not in it.
func (m *Member) inGroup(s *set) int {
	for k := range m.groups {
		if m.groups[k].set == s {
			return k
		}
	}
	return -1
}

// leave removes m from its k-th group; its last group moves to k.
func (m *Member) leave(k int) {
	p := m.groups[k]
	m.names -= uint16(link.GroupSize(len(p.set.name)) / step)
	p.set.remove(p.at)
	last := len(m.groups) - 1
	if k != last {
		moved := m.groups[last]
		m.groups[k] = moved
		moved.set.entries[moved.at].group = int32(k)
	}
	m.groups[last] = place{}
	m.groups = m.groups[:last]
}

func open(of map[string]*set, name string) *set {
	s := of[name]
	if s == nil {
		s = &set{name: name, of: of}
		of[name] = s
	}
	return s
}

func (s *set) add(m *Member, group int32) int32 {
	s.entries = append(s.entries, entry{m, group})
	return int32(len(s.entries) - 1)
}

// remove removes the entry at i; the last one moves there. An empty set is deleted.
func (s *set) remove(i int32) {
	last := len(s.entries) - 1
	if int(i) != last {
		moved := s.entries[last]
		s.entries[i] = moved
		if moved.group < 0 {
			moved.member.uidAt = i
		} else {
			moved.member.groups[moved.group].at = i
		}
	}
	s.entries[last] = entry{}
	s.entries = s.entries[:last]
	if s.since != nil {
		s.since[i] = s.since[last]
		s.since = s.since[:last]
	}
	if last == 0 {
		delete(s.of, s.name)
	}
}
