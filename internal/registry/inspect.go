package registry

import "iter"

// InGroup reports whether m is in the group.
func (r *Registry) InGroup(m *Member, group string) bool {
	s := r.groups[group]
	return s != nil && m.inGroup(s) >= 0
}

// HasGroup reports whether a member is in the group.
func (r *Registry) HasGroup(group string) bool { return r.groups[group] != nil }

// HasUID reports whether a member is bound to the uid.
func (r *Registry) HasUID(uid string) bool { return r.uids[uid] != nil }

// GroupCount returns the number of m's groups.
func (m *Member) GroupCount() int { return len(m.groups) }

// Groups iterates over the names of m's groups.
func (m *Member) Groups() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, p := range m.groups {
			if !yield(p.set.name) {
				return
			}
		}
	}
}
