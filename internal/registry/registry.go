// Package registry stores the clients of one loop of a gateway: their uids, groups and attributes.
// It finds the members that a message to many is for. It contains only data: it has one owner, no
// locks and no I/O.
package registry

import (
	"cmp"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// Registry contains the clients of one loop. That loop owns it and its members.
type Registry struct {
	members []*Member // indexed by the slot of their id; nil: free; bound: clients, per loop
	count   int
	claims  int             // members with a claim
	groups  map[string]*set // bound: groups of a client
	uids    map[string]*set // bound: clients, per loop
	epoch   uint32          // number of the last walk, never 0
	slots   []uint64        // used only during Select: one bit per slot
	limits  Limits
	watcher Watcher // nil: none
}

// Watcher is told which sets of a Registry have members. Its methods must not call the Registry.
type Watcher interface {
	// Opened is called before the first member of a group or uid is added.
	Opened(kind Kind, name string)
	// Emptied is called after the last one was removed.
	Emptied(kind Kind, name string)
}

// Kind is what a set is: of a group or of a uid.
type Kind byte

// These are the kinds.
const (
	Group Kind = link.SetGroup
	UID   Kind = link.SetUID
)

// Watch has w told of all sets that open from now on.
func (r *Registry) Watch(w Watcher) { r.watcher = w }

// Limits are the limits for the groups of one member. Zero means the default: link.DefaultGroups
// and link.DefaultGroupBytes. A value above link.MaxGroups or link.MaxGroupBytes is reduced to it.
type Limits struct {
	Groups     int // number of groups
	GroupBytes int // bytes of their names, as link.GroupSize counts them
}

// Member is one client. It is embedded in the owner's state of the client, which the owner finds by
// the slot of the ID. A member without uid, groups and attributes is small. The fields that each
// message uses come first.
type Member struct {
	ID         link.ClientID // set before Add
	version    uint32        // version of attrs
	mark       uint32        // the walk that has visited or excluded the member
	uid        *set          // nil: not bound; after Remove only its name is used
	uidVersion uint32
	uidIndex   int32             // index of the member in uid
	groups     []place           // bound: groups of a client
	attrs      *[]link.Attribute // nil: none
	names      uint16            // sum of link.GroupSize of the groups, in units of step
	present    bool
	claims     bool // the binding to uid is a claim
}

// set contains the members of one group or uid. It exists while it has members.
type set struct {
	name    string
	of      *Registry
	entries []entry  // bound: groups of a client
	since   []uint64 // for a uid: when each entry was bound; nil for a group; bound: groups of a client
	mark    uint32
	kind    Kind
}

// entry is a member of a set. group is the index of the set in the member's groups, or -1 for a
// uid.
type entry struct {
	member *Member
	group  int32
}

// place is one group of a member and the member's index in it.
type place struct {
	set   *set
	index int32
}

// New returns an empty Registry.
func New(limits Limits) *Registry {
	limits.Groups = min(cmp.Or(limits.Groups, link.DefaultGroups), link.MaxGroups)
	limits.GroupBytes = min(cmp.Or(limits.GroupBytes, link.DefaultGroupBytes), link.MaxGroupBytes)
	return &Registry{groups: make(map[string]*set), uids: make(map[string]*set), limits: limits}
}

// step is the unit of group sizes in bytes.
const step = link.GroupStep

// Len returns the number of members.
func (r *Registry) Len() int { return r.count }

// Add adds m, whose ID must be set. The slot of the ID must be free.
func (r *Registry) Add(m *Member) {
	slot := int(m.ID.Slot())
	for slot >= len(r.members) {
		r.members = append(r.members, nil)
	}
	r.members[slot] = m
	m.present, m.uid = true, nil
	r.count++
}

// Remove removes m and its memberships. Its uid and attributes can still be read.
func (r *Registry) Remove(m *Member) {
	if !m.present {
		return
	}
	if m.uid != nil {
		m.unclaim()
		m.uid.remove(m.uidIndex)
	}
	for len(m.groups) > 0 {
		m.leave(len(m.groups) - 1)
	}
	m.groups = nil // m.names is 0 now
	r.members[m.ID.Slot()] = nil
	m.present = false
	r.count--
}

// Find returns the member with the id, or nil.
func (r *Registry) Find(id link.ClientID) *Member {
	if slot := int(id.Slot()); slot < len(r.members) {
		if m := r.members[slot]; m != nil && m.ID == id {
			return m
		}
	}
	return nil
}

// UID returns the uid that m is bound to, or "".
func (m *Member) UID() string {
	if m.uid == nil {
		return ""
	}
	return m.uid.name
}

// Claim returns the claim of m on its uid, if it has one.
func (m *Member) Claim() (c link.Claim, ok bool) {
	if !m.claims {
		return c, false
	}
	return link.Claim{Time: m.uid.since[m.uidIndex], Client: m.ID}, true
}

// Bind binds m to the uid instead of its current one. The uid must not be empty. at is the time
// that Older compares. If m has a claim on the uid, it keeps that with its time.
func (r *Registry) Bind(m *Member, uid string, at uint64) { m.bind(r, uid, at, false) }

// bind does what Bind does. With claims the binding is a claim: that of the one client that may
// have the uid. No member is evicted; see Older.
func (m *Member) bind(r *Registry, uid string, at uint64, claims bool) {
	if !m.present {
		return
	}
	m.uidVersion++
	if m.UID() != uid {
		m.unbind()
		m.uid = r.openSet(r.uids, UID, uid)
		m.uidIndex = m.uid.add(m, -1)
		m.uid.since = append(m.uid.since, at)
	}
	if claims && !m.claims {
		m.claims = true
		r.claims++
	}
	if claims == m.claims {
		m.uid.since[m.uidIndex] = at
	}
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
		m.unclaim()
		m.uid.remove(m.uidIndex)
		m.uid = nil
	}
}

// unclaim ends the claim of m, which has a uid.
func (m *Member) unclaim() {
	if m.claims {
		m.claims = false
		m.uid.of.claims--
	}
}

// Older calls f for each member of the uid that was bound before the claim c, except the client of
// c. f may remove the member.
func (r *Registry) Older(uid []byte, c link.Claim, f func(*Member)) {
	s := r.uids[string(uid)]
	if s == nil {
		return
	}
	// f may remove an entry: one that was already visited takes its place.
	for i := len(s.entries) - 1; i >= 0; i-- { //nolint:modernize // s.entries changes meanwhile
		if m := s.entries[i].member; m.ID != c.Client && (link.Claim{Time: s.since[i], Client: m.ID}).Before(c) {
			f(m)
		}
	}
}

// Join adds m to a group, whose name must not be empty. It reports whether m is in the group now.
// It is not if the limits do not allow it, or if m was removed.
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
	s := r.openSet(r.groups, Group, group)
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

// inGroup returns the index of s in m's groups, or -1.
func (m *Member) inGroup(s *set) int {
	for k := range m.groups {
		if m.groups[k].set == s {
			return k
		}
	}
	return -1
}

// leave removes m from its k-th group. The last group moves to index k.
func (m *Member) leave(k int) {
	p := m.groups[k]
	m.names -= uint16(link.GroupSize(len(p.set.name)) / step)
	p.set.remove(p.index)
	last := len(m.groups) - 1
	if k != last {
		moved := m.groups[last]
		m.groups[k] = moved
		moved.set.entries[moved.index].group = int32(k)
	}
	m.groups[last] = place{}
	m.groups = m.groups[:last]
}

func (r *Registry) openSet(of map[string]*set, kind Kind, name string) *set {
	s := of[name]
	if s == nil {
		s = &set{name: name, of: r, kind: kind}
		of[name] = s
		if r.watcher != nil {
			r.watcher.Opened(kind, name)
		}
	}
	return s
}

func (s *set) add(m *Member, group int32) int32 {
	s.entries = append(s.entries, entry{m, group})
	return int32(len(s.entries) - 1)
}

// remove removes the entry at index i. The last entry moves there. An empty set is deleted.
func (s *set) remove(i int32) {
	last := len(s.entries) - 1
	if int(i) != last {
		moved := s.entries[last]
		s.entries[i] = moved
		if moved.group < 0 {
			moved.member.uidIndex = i
		} else {
			moved.member.groups[moved.group].index = i
		}
	}
	s.entries[last] = entry{}
	s.entries = s.entries[:last]
	if s.since != nil {
		s.since[i] = s.since[last]
		s.since = s.since[:last]
	}
	if last > 0 {
		return
	}
	if s.kind == UID {
		delete(s.of.uids, s.name)
	} else {
		delete(s.of.groups, s.name)
	}
	if s.of.watcher != nil {
		s.of.watcher.Emptied(s.kind, s.name)
	}
}
