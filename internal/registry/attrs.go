package registry

import (
	"slices"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// Attrs returns m's attributes in no particular order. They are never changed in place.
func (m *Member) Attrs() []link.Attribute {
	if m.attrs == nil {
		return nil
	}
	return *m.attrs
}

// Version returns the version of the attributes. Each change increments it.
func (m *Member) Version() uint32 { return m.version }

// UIDVersion returns the version of the uid.
func (m *Member) UIDVersion() uint32 { return m.uidVersion }

// A worker changes its copy of the attributes or the uid before the gateway knows of the change,
// and assumes that the version grows by one. If that is wrong, because another change came first or
// this one was refused, the worker must receive the current state, with a version that it cannot
// have reached by itself.

// Outrun makes the version of the attributes newer than that of a copy that was changed after
// version base.
func (m *Member) Outrun(base uint32) { m.version = outrun(m.version, base) }

// OutrunUID makes the version of the uid newer than that of a copy that was changed after version
// base.
func (m *Member) OutrunUID(base uint32) { m.uidVersion = outrun(m.uidVersion, base) }

func outrun(version, base uint32) uint32 {
	if link.Newer(base, version) {
		version = base
	}
	return version + 2
}

// Set changes m's attributes and increments their version. With merge, it changes only the given
// ones, and an empty value removes its key. Without merge, it replaces all. Of equal keys the last
// one counts. If the result exceeds link.MaxAttributes, it changes nothing and returns false.
func (r *Registry) Set(m *Member, attrs []link.Attribute, merge bool) bool {
	var t table
	if merge {
		t.list = slices.Clone(m.Attrs())
	}
	if len(t.list)+len(attrs) > manyAttributes {
		t.index()
	}
	for _, a := range attrs {
		if merge && a.Value == "" {
			t.remove(a.Key)
		} else {
			t.put(a)
		}
	}
	if link.AttributesSize(t.list) > link.MaxAttributes {
		return false
	}
	if m.attrs = nil; len(t.list) > 0 {
		m.attrs = &t.list
	}
	m.version++
	return true
}

// manyAttributes is the number from which an index is faster than a linear search.
const manyAttributes = 64

// table is a list of attributes that is being changed.
type table struct {
	list []link.Attribute // bound: attributes of a client
	at   map[string]int   // index by key, nil while the list is short; bound: attributes of a client
}

func (t *table) index() {
	t.at = make(map[string]int, len(t.list))
	for i := range t.list {
		t.at[t.list[i].Key] = i
	}
}

// find returns the index of the key, or -1.
func (t *table) find(key string) int {
	if t.at == nil {
		return slices.IndexFunc(t.list, func(a link.Attribute) bool { return a.Key == key })
	}
	if i, ok := t.at[key]; ok {
		return i
	}
	return -1
}

func (t *table) put(a link.Attribute) {
	i := t.find(a.Key)
	if i >= 0 {
		t.list[i] = a
		return
	}
	t.list = append(t.list, a)
	if t.at != nil {
		t.at[a.Key] = len(t.list) - 1
	}
}

// remove removes a key. The last attribute moves to its index.
func (t *table) remove(key string) {
	i := t.find(key)
	if i < 0 {
		return
	}
	last := len(t.list) - 1
	t.list[i] = t.list[last]
	t.list[last] = link.Attribute{}
	t.list = t.list[:last]
	if t.at != nil {
		if i < last {
			t.at[t.list[i].Key] = i
		}
		delete(t.at, key)
	}
}
