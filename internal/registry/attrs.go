package registry

import (
	"encoding/binary"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// Attrs returns m's attributes in the order of their keys. They are never changed in place.
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

// ChangeAttrs applies a SET to m. own means that the sender is m's worker and has changed its copy.
// tell reports whether m's worker must receive the new state. The status is Conflict if a
// comparison has failed, and Refused if m would have too many attributes.
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

// ChangeUID applies a BIND or an UNBIND to m. at is the time of the binding that Older compares.
// own and tell are as in ChangeAttrs.
func (r *Registry) ChangeUID(m *Member, f *link.Frame, own bool, at uint64) (tell bool) {
	c := link.Read(f.Payload)
	base := c.U32()
	stale := base != m.uidVersion
	if f.Type == link.Unbind {
		r.Unbind(m)
	} else {
		m.bind(r, string(c.Rest()), at, f.Has(link.FlagExclusive))
	}
	if own && stale {
		m.uidVersion = outrun(m.uidVersion, base)
	}
	return stale || !own
}

// AppendAttrs appends the version and the attributes of m, as the REPLY to a failed comparison
// contains them.
func (m *Member) AppendAttrs(dst []byte) []byte {
	return link.AppendAttributes(binary.BigEndian.AppendUint32(dst, m.version), m.Attrs())
}

// AppendState appends m's uid and attributes with their versions, as an ATTRS frame contains them.
func (m *Member) AppendState(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, m.version)
	dst = binary.BigEndian.AppendUint32(dst, m.uidVersion)
	return link.AppendAttributes(link.AppendBytes(dst, m.UID()), m.Attrs())
}

// outrun returns a version that is newer than that of a copy that was changed after version base.
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
