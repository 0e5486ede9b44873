package worker

import (
	"github.com/seed-7410fe32/sluice/internal/link"
)

// A session keeps a copy of its client's uid and attributes, each with the version that the gateway
// has given it. When the worker changes one of them, it changes the copy at once and adds one to
// its version. The command to the gateway says which version the change was based on. The gateway
// tells the worker of each change by others. It also tells it of the worker's own change if that
// was not based on the present version. It then uses a version newer than any that the copy can
// have. The copy accepts only what is newer, so it equals the gateway's state when both sides are
// quiet.

// known is a copy of what the gateway stores about a client.
type known struct {
	uid        string
	uidVersion uint32
	version    uint32 // version of attrs
	attrs      []link.Attribute
}

// update takes over what is newer in o.
func (k *known) update(o *known) {
	if link.Newer(o.uidVersion, k.uidVersion) {
		k.uid, k.uidVersion = o.uid, o.uidVersion
	}
	if link.Newer(o.version, k.version) {
		k.attrs, k.version = o.attrs, o.version
	}
}

// refresh takes over the changes of others, from an Attrs frame.
func (s *session) refresh(f *link.Frame) error {
	c := link.Read(f.Payload)
	o := known{version: c.U32(), uidVersion: c.U32(), uid: string(c.Bytes()), attrs: c.Attributes()}
	if !c.End() {
		return badPayload(f)
	}
	s.Mu.Lock()
	defer s.Mu.Unlock()
	s.known.update(&o)
	if s.undo != nil {
		s.undo.update(&o)
	}
	return nil
}

// saveUndo saves the copy before the running call changes it for the first time. A call that fails
// restores it. Called with mu.
func (s *session) saveUndo() {
	if s.undo == nil {
		k := s.known
		s.undo = &k
	}
}

// endUnit ends the unit of a call. The call's changes to the copy become permanent. Called with mu.
func (s *session) endUnit() {
	if s.failed.Load() != nil { // set by a goroutine of the handler while the handler returned
		s.failed.Store(nil)
	}
	s.undo, s.running = nil, idle
}

// attrs returns the attributes that the worker knows. They are never changed in place.
func (s *session) attrs() []link.Attribute {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	return s.known.attrs
}

// acceptAttrs takes over the attributes that a failed CompareAndSet has found at the gateway. If
// the running call has changed attributes and not sent them yet, the copy is newer and would not
// accept them, and the next CompareAndSet could not succeed. In that case the copy is overwritten,
// and a command at the end of the unit asks the gateway to send the attributes once it has applied
// the call's changes.
func (s *session) acceptAttrs(version uint32, attrs []link.Attribute) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	o := known{version: version, attrs: attrs, uid: s.known.uid, uidVersion: s.known.uidVersion}
	if s.undo == nil || s.undo.version == s.known.version || link.Newer(s.undo.version, version) {
		s.known.update(&o)
		return
	}
	s.undo.version, s.undo.attrs = version, attrs
	s.known.version, s.known.attrs = version, attrs
	if s.running != idle {
		var f link.Frame
		s.id().address(&f, link.Set, link.FlagOwn|link.FlagMerge)
		_ = s.unit.add(&f, nil, versioned(version-1, nil)) // an outdated version
	}
}
