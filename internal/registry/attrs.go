package registry

import (
	"encoding/binary"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// Attrs are m's attributes, in the order of their keys. They are never changed in place.
func (m *Member) Attrs() []link.Attribute {
	if m.attrs == nil {
		return nil
	}
	return *m.attrs
}

// Version is the version of the attributes. It grows with each change.
func (m *Member) Version() uint32 { return m.version }

// UIDVersion is the version of the uid.
func (m *Member) UIDVersion() uint32 { return m.uidVersion }

// A worker changes its copy of the attributes and of the uid before the gateway knows of the
// change, and assumes that their version is then one more. Where another change has come first, or
// this one was refused, the worker must receive the valid state, with a version that it cannot have
// reached by itself.

// ChangeAttrs carries out a SET about m. own: the sender is m's worker, and has changed its copy. tell reports whether m's worker has to be told what stands now. The status is
// Conflict when a comparison has failed, and Refused when m would have too many attributes.
func (r *Registry) ChangeAttrs(m *Member, f *link.Frame, own bool) (status link.Status, tell bool) {
	c := link.Read(f.Payload)
	base, attrs := c.U32(), c.Attributes()
	stale := base != m.version
	if stale && f.Has(link.FlagCompare) {
		return link.Conflict, false
	}
	if !r.Set(m, attrs, f.Has(link.FlagMerge)) {
		status = link.Refused
	}
	refused := status == link.Refused
	if own && (stale || refused) {
		m.version = outrun(m.version, base)
	}
	return status, own && (stale || refused) || !own && !refused
}

// ChangeUID carries out a BIND, at a time that Older goes by, or an UNBIND about m. own and tell are as those of ChangeAttrs.
func (r *Registry) ChangeUID(m *Member, f *link.Frame, own bool, at uint64) (tell bool) {
	c := link.Read(f.Payload)
	base := c.U32()
	stale := base != m.uidVersion
	if f.Type == link.Unbind {
		r.Unbind(m)
	} else {
		r.Bind(m, string(c.Rest()), at)
	}
	if own && stale {
		m.uidVersion = outrun(m.uidVersion, base)
	}
	return stale || !own
}

// AppendAttrs appends m's attributes behind their version, as the REPLY to a comparison that has failed carries them.
func (m *Member) AppendAttrs(dst []byte) []byte {
	return link.AppendAttributes(binary.BigEndian.AppendUint32(dst, m.version), m.Attrs())
}

// AppendState appends m's uid and attributes with their versions, as an ATTRS frame carries them.
func (m *Member) AppendState(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, m.version)
	dst = binary.BigEndian.AppendUint32(dst, m.uidVersion)
	return link.AppendAttributes(link.AppendBytes(dst, m.UID()), m.Attrs())
}

// outrun is a version that is newer than that of a copy which has been changed after base.
func outrun(version, base uint32) uint32 {
	if link.Newer(base, version) {
		version = base
	}
	return version + 2
}

// Set changes m's attributes and their version. With merge they are added to the present ones, and
// an empty value removes its key; without it they replace them. The last of equal keys counts. When
// the result is more than link.MaxAttributes it changes nothing and returns false.
func (r *Registry) Set(m *Member, attrs []link.Attribute, merge bool) bool {
	list := link.ChangedAttributes(m.Attrs(), attrs, merge)
	if link.AttributesSize(list) > link.MaxAttributes {
		return false
	}
	if m.attrs = nil; len(list) > 0 {
		m.attrs = &list
	}
	m.version++
	return true
}
