package registry

import (
	"slices"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// Attrs are m's attributes, in no order. They are never changed in place.
func (m *Member) Attrs() []link.Attribute {
	if m.attrs == nil {
		return nil
	}
	return *m.attrs
}

// Version is that of the attributes: it grows with each change.
func (m *Member) Version() uint32 { return m.version }

// UIDVersion is that of the uid.
func (m *Member) UIDVersion() uint32 { return m.uidVersion }

// A worker changes its copy of the attributes and of the uid before the gateway has heard of it, and takes it that their version is one more then. Where that was not so,
// because somebody else's change had come first or this one was refused, it has to learn what stands; and by a version that it cannot have come to by itself.

// Outrun makes the version of the attributes newer than that of a copy that has been changed after base.
func (m *Member) Outrun(base uint32) { m.version = outrun(m.version, base) }

// OutrunUID makes the version of the uid newer than that of a copy that has been changed after base.
func (m *Member) OutrunUID(base uint32) { m.uidVersion = outrun(m.uidVersion, base) }

func outrun(version, base uint32) uint32 {
	if link.Newer(base, version) {
		version = base
	}
	return version + 2
}

// Set changes m's attributes, and their version: merged into those that are there, an empty value
// removing its key, or in place of them. Of equal keys the last stands. When the outcome is more
// than link.MaxAttributes it changes nothing and returns false.
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

// manyAttributes is from where on looking through all of them would take longer than an index.
const manyAttributes = 64

// table is a list of attributes while it is changed.
type table struct {
	list []link.Attribute // bound: attributes of a client
	at   map[string]int   // nil while there are few; bound: attributes of a client
}

func (t *table) index() {
	t.at = make(map[string]int, len(t.list))
	for i := range t.list {
		t.at[t.list[i].Key] = i
	}
}

// find is where the key stands, -1: nowhere.
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

// remove takes a key out; the last one moves there.
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
