package worker

import (
	"encoding/binary"

	"sluice/internal/link"
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

// endUnit ends the unit of a call. Called with mu.
func (s *session) endUnit(ok bool) {
	if u := s.undo; u != nil {
		if s.undo = nil; !ok {
			s.known = *u
		}
	}
	s.unit = nil
}

// setUID binds the client to a uid, or takes it away.
func (c *Client) setUID(t link.Type, flags uint8, uid string) error {
	if c.s == nil {
		return c.command(t, flags, append(make([]byte, 4), uid...))
	}
	s := c.s
	s.setting.Lock()
	defer s.setting.Unlock()
	s.mu.Lock()
	version := s.known.uidVersion
	s.mu.Unlock()
	return c.change(t, flags, append(binary.BigEndian.AppendUint32(nil, version), uid...), func(k *known) {
		k.uid = uid
		k.uidVersion++
	})
}

// set changes the client's attributes.
func (c *Client) set(attrs map[string]string, flags uint8) error {
	list, err := attrList(attrs)
	if err != nil {
		return err
	}
	if c.s == nil {
		return c.command(link.Set, flags, appendVersioned(nil, 0, list))
	}
	s := c.s
	s.setting.Lock()
	defer s.setting.Unlock()
	merge := flags&link.FlagMerge != 0
	s.mu.Lock()
	version := s.known.version
	next := merged(s.known.attrs, list, merge)
	s.mu.Unlock()
	if link.AttributesSize(next) > link.MaxAttributes {
		return ErrTooBig
	}
	return c.change(link.Set, flags, appendVersioned(nil, version, list), func(k *known) {
		if k.version != version { // somebody else's change has come meanwhile; the gateway will say what stands
			next = merged(k.attrs, list, merge)
		}
		k.attrs = next
		k.version++
	})
}

// change sends a command that changes what the session has a copy of, down its own link, and makes the change in the copy. Called with setting. When that link has ended the
// client has another session, here or elsewhere, which the gateway tells.
func (c *Client) change(t link.Type, flags uint8, payload []byte, apply func(*known)) error {
	s := c.s
	var f link.Frame
	c.address(&f, t, flags|link.FlagOwn)
	s.mu.Lock()
	if u := s.unit; u != nil {
		defer s.mu.Unlock()
		if err := u.add(&f, nil, payload); err != nil {
			return err
		}
		s.remember()
		apply(&s.known)
		return nil
	}
	s.mu.Unlock()
	if s.link.plain(&f, nil, payload) != nil {
		if err := c.command(t, flags, payload); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	apply(&s.known) // it stands, also when a call has begun meanwhile that fails
	return nil
}

// concede takes over the attributes that a comparison has found at the gateway. Changes that the running call has made and not sent would keep them out, and the next comparison
// from succeeding: these give way, and the gateway is asked to say what stands when it has made them.
func (s *session) concede(version uint32, attrs []link.Attribute) {
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
		_ = s.unit.add(&f, nil, appendVersioned(nil, version-1, nil)) // a version that stands no more
	}
}
