package worker

import (
	"github.com/seed-7410fe32/sluice/internal/link"
)

// A session keeps a copy of its client's uid and attributes, each with the version that the gateway gave it. A change that the worker makes itself it makes in its copy at once,
// and takes it that the version is one more then; the command says which version that was made of. The gateway tells the worker of every change that it did not make, and of its own
// when they were not made of the present version: then by a version which is newer than the copy can be by itself. So a copy that takes what is newer, and nothing
// else, is what stands at the gateway once both are quiet.

// known is a copy of what the gateway keeps of a client.
type known struct {
	uid        string
	uidVersion uint32
	version    uint32 // of attrs
	attrs      []link.Attribute
}

// learn takes over what is newer.
func (k *known) learn(o *known) {
	if link.Newer(o.uidVersion, k.uidVersion) {
		k.uid, k.uidVersion = o.uid, o.uidVersion
	}
	if link.Newer(o.version, k.version) {
		k.attrs, k.version = o.attrs, o.version
	}
}

// refresh takes over what somebody else changed.
func (s *session) refresh(f *link.Frame) error {
	c := link.Read(f.Payload)
	o := known{version: c.U32(), uidVersion: c.U32(), uid: string(c.Bytes()), attrs: c.Attributes()}
	if !c.End() {
		return badPayload(f)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known.learn(&o)
	if s.undo != nil {
		s.undo.learn(&o)
	}
	return nil
}

// remember is called with mu before the copy changes by a unit: a call that fails takes back what its unit would have made so.
func (s *session) remember() {
	if s.undo == nil {
		k := s.known
		s.undo = &k
	}
}

// endUnit ends the unit of a call, whose effects stand from now on. Called with mu.
func (s *session) endUnit() {
	if s.failed.Load() != nil { // by a goroutine that the handler has left behind, as it returned
		s.failed.Store(nil)
	}
	s.undo, s.unit = nil, nil
}

// attrs are the attributes that the worker knows. They are never changed in place.
func (s *session) attrs() []link.Attribute {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known.attrs
}

// acceptAttrs takes over the attributes that a comparison has found at the gateway. Changes that the running call has made and not sent would keep them out, and the next comparison
// from succeeding: these give way, and the gateway is asked to say what stands when it has made them.
func (s *session) acceptAttrs(version uint32, attrs []link.Attribute) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := known{version: version, attrs: attrs, uid: s.known.uid, uidVersion: s.known.uidVersion}
	if s.undo == nil || s.undo.version == s.known.version || link.Newer(s.undo.version, version) {
		s.known.learn(&o)
		return
	}
	s.undo.version, s.undo.attrs = version, attrs
	s.known.version, s.known.attrs = version, attrs
	if s.unit != nil {
		var f link.Frame
		s.address(&f, link.Set, link.FlagOwn|link.FlagMerge)
		_ = s.unit.add(&f, nil, versioned(version-1, nil)) // a version that stands no more
	}
}
