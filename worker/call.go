package worker

import (
	"cmp"
	"context"
	"encoding/binary"
	"iter"
	"net/netip"
	"slices"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// Call is one event of one client, while its handler runs. It is a value of two words.
//
// Its methods that have effects (Send, Publish, Close, Join, …) add them to a buffer, which reaches
// the gateway together with the acknowledgement of the event: all of it or nothing. So they return
// nothing. An effect that is not possible, such as a group name of more than 1,024 bytes, makes the
// call fail as if the handler had returned that error. Goroutines of the handler may use the Call
// until the handler returns.
//
// A Call ends when its handler returns. Then effects are no longer possible: they are ignored,
// counted (Stats.LateEffects) and logged with their stack; workertest fails the test. Other
// goroutines use the Worker. ID, Request, RemoteAddr and Listener stay valid; UID and attributes
// are those that this worker knows at the moment.
type Call struct {
	s *session
	n uint64 // its number among the session's calls
}

// ID returns the client's id.
func (c Call) ID() ClientID { return c.s.id }

// Worker returns the worker that runs the handler.
func (c Call) Worker() *Worker { return c.s.link.w }

// UID returns the uid that the client is bound to, or "".
func (c Call) UID() string {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.s.known.uid
}

// RemoteAddr returns the client's address. It is the zero AddrPort when the gateway knows none.
func (c Call) RemoteAddr() netip.AddrPort {
	addr, _ := netip.ParseAddrPort(c.s.remote)
	return addr
}

// Listener returns the URL of the gateway's listener that the client has connected to.
func (c Call) Listener() string { return c.s.listener }

// Request returns the HTTP request of a WebSocket client. It is nil for other clients; the methods
// of a nil Request may be called.
func (c Call) Request() *Request { return c.s.request }

// Attr returns one attribute of the client.
func (c Call) Attr(key string) (value string, ok bool) {
	for _, a := range c.s.attrs() {
		if a.Key == key {
			return a.Value, true
		}
	}
	return "", false
}

// Attrs returns the attributes that the client has now, in the order of their keys.
func (c Call) Attrs() iter.Seq2[string, string] {
	attrs := c.s.attrs()
	return func(yield func(string, string) bool) {
		for _, a := range attrs {
			if !yield(a.Key, a.Value) {
				return
			}
		}
	}
}

// Version returns the version of the client's attributes: it grows with each change, and is what
// Worker.CompareAndSet compares.
func (c Call) Version() uint32 {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.s.known.version
}

// Send sends a message to the client.
func (c Call) Send(m Message) {
	var room [64]byte
	key, err := m.appendKey(room[:0])
	var f link.Frame
	c.s.address(&f, link.Send, m.flags())
	c.add(&f, key, m.Data, err)
}

// Publish sends a message to clients, at all gateways. In Connect, a message to Everyone also
// reaches c's client, which is about to be admitted.
func (c Call) Publish(t Target, m Message) {
	if id, ok := t.one(); ok {
		c.sendTo(&id, &m)
		return
	}
	if t.isNobody() {
		return
	}
	var room [256]byte
	code, head, err := t.publish(room[:0], &m)
	c.add(&link.Frame{Type: link.Publish, Flags: m.flags() | link.FlagFar, Code: code}, head, m.Data, err)
	if t.kind == targetEveryone && c.isConnecting() && !slices.Contains(t.except, c.s.id) {
		c.Send(m)
	}
}

// sendTo sends a message to one client, wherever it is.
func (c Call) sendTo(id *ClientID, m *Message) {
	var room [64]byte
	key, err := m.appendKey(room[:0])
	var f link.Frame
	id.address(&f, link.Send, m.flags())
	own, gateway := c.s.link, id.gateway()
	loops := int(own.loops)
	if gateway != own.gateway {
		loops = own.w.routes.loops(gateway)
	}
	switch {
	case err != nil || gateway == own.gateway && int(id.loop()) < loops:
		c.add(&f, key, m.Data, err)
	case loops == 0: // of a gateway that is not known
		own.w.stats.dropped.Add(1)
	case int(id.loop()) >= loops: // of an earlier start of the gateway, or made up by a client: a gateway ends a link that names such a loop
	default:
		if len(key)+len(m.Data) > link.MaxMessage {
			err = ErrTooBig
		}
		var room [256]byte
		head := append(link.AppendHeader(room[:0], &f, len(key)+len(m.Data)), key...)
		c.add(&link.Frame{Type: link.Relay, Slot: gateway}, head, m.Data, err)
	}
}

// Close closes the client's connection after what was sent to it has gone out.
func (c Call) Close() { c.command(link.Kick, 0, nil, nil) }

// CloseNow closes the client's connection at once. What has not gone out is lost.
func (c Call) CloseNow() { c.command(link.Kick, link.FlagNow, nil, nil) }

// Join adds the client to a group, whose name has 1 to 1,024 bytes. A client that is in as many
// groups as its gateway allows (gateway.Config.MaxGroups and MaxGroupBytes: 4,096 groups, 256 KiB of
// names) stays out. The gateway counts that (JoinsRejected); Worker.Join returns it as an error.
func (c Call) Join(group string) { c.command(link.Join, 0, []byte(group), checkKey(group)) }

// Leave removes the client from a group.
func (c Call) Leave(group string) { c.command(link.Leave, 0, []byte(group), checkKey(group)) }

// Bind gives the client a uid of 1 to 1,024 bytes, in place of the one it has. A uid may have many
// clients.
func (c Call) Bind(uid string) { c.setUID(link.Bind, 0, uid, checkKey(uid)) }

// BindExclusive gives the client a uid and closes all other clients of that uid, at all gateways,
// with ReasonReplaced. Of several clients that bind a uid at the same moment exactly one stays. What
// this call has sent to the others before reaches them first.
//
// Gateways that cannot reach each other for more than 10 s do not learn of each other's bindings
// (gateway.LoopStats.CommandsDropped): then each of them may keep a client.
func (c Call) BindExclusive(uid string) { c.setUID(link.Bind, link.FlagExclusive, uid, checkKey(uid)) }

// Unbind takes the client's uid away.
func (c Call) Unbind() { c.setUID(link.Unbind, 0, "", nil) }

// SetAttrs replaces all attributes of the client. Together they have at most 1 MiB: 16 bytes each,
// and the bytes of key and value.
func (c Call) SetAttrs(attrs map[string]string) { c.set(attrs, 0) }

// MergeAttrs changes the attributes given and leaves the others. An empty value removes its
// attribute. The limit is that of SetAttrs, for all attributes that the client has then, as far as
// this worker knows; when somebody else sets attributes at the same moment, the gateway may refuse
// what is too much together. Then nothing has changed, and the gateway counts it (AttrsRejected).
func (c Call) MergeAttrs(attrs map[string]string) { c.set(attrs, link.FlagMerge) }

// Flush sends the effects of the call so far, at once: for a handler that shows progress. It returns
// when they are on their way, or with an error, which makes the call fail. Flushed effects stand
// whatever becomes of the call: when the event is delivered again, clients see them again.
func (c Call) Flush(ctx context.Context) error {
	s := c.s
	s.aboutToBlock()
	s.mu.Lock()
	if !s.runs(c) {
		s.mu.Unlock()
		s.noteLateUse()
		return ErrCallEnded
	}
	err := cmp.Or(s.callFailure(), ctx.Err())
	var frames []byte
	if err == nil {
		frames = s.unit.cut()
		s.commit()
	}
	s.mu.Unlock()
	if err == nil {
		err = s.link.frames(ctx, frames)
	}
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.runs(c) {
			s.failCall(err)
		}
	}
	return err
}

// command adds a command about the client, unless there is an error.
func (c Call) command(t link.Type, flags uint8, payload []byte, err error) {
	var f link.Frame
	c.s.address(&f, t, flags)
	c.add(&f, nil, payload, err)
}

// add makes a frame part of the call. An error makes the call fail.
func (c Call) add(f *link.Frame, head, body []byte, err error) {
	if err == nil && len(head)+len(body) > link.MaxMessage {
		err = ErrTooBig
	}
	s := c.s
	s.mu.Lock()
	runs := s.runs(c)
	if runs && err == nil {
		err = s.unit.add(f, head, body)
	}
	if runs && err != nil {
		s.failCall(err)
	}
	s.mu.Unlock()
	if !runs {
		s.noteLateUse()
	}
}

// setUID binds the client to a uid, or takes it away, also in the worker's copy.
func (c Call) setUID(t link.Type, flags uint8, uid string, err error) {
	c.change(err, func(s *session, u *unit) error {
		var f link.Frame
		s.address(&f, t, flags|link.FlagOwn)
		if err := u.add(&f, nil, append(binary.BigEndian.AppendUint32(nil, s.known.uidVersion), uid...)); err != nil {
			return err
		}
		s.remember()
		s.known.uid = uid
		s.known.uidVersion++
		return nil
	})
}

// set changes the client's attributes, also in the worker's copy.
func (c Call) set(attrs map[string]string, flags uint8) {
	list, err := attrList(attrs)
	c.change(err, func(s *session, u *unit) error {
		next := link.ChangedAttributes(s.known.attrs, list, flags&link.FlagMerge != 0)
		if link.AttributesSize(next) > link.MaxAttributes {
			return ErrTooBig
		}
		var f link.Frame
		s.address(&f, link.Set, flags|link.FlagOwn)
		if err := u.add(&f, nil, versioned(s.known.version, list)); err != nil {
			return err
		}
		s.remember()
		s.known.attrs = next
		s.known.version++
		return nil
	})
}

// change runs f, which changes what the session has a copy of, unless there is an error.
func (c Call) change(err error, f func(*session, *unit) error) {
	s := c.s
	s.mu.Lock()
	runs := s.runs(c)
	if runs && err == nil {
		err = f(s, s.unit)
	}
	if runs && err != nil {
		s.failCall(err)
	}
	s.mu.Unlock()
	if !runs {
		s.noteLateUse()
	}
}

// isConnecting reports whether the call is Connect's: its gateway has yet to admit the client.
func (c Call) isConnecting() bool {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.s.runs(c) && c.s.connecting
}

// address makes f, which is empty, a command about the session's client, without its payload.
func (s *session) address(f *link.Frame, t link.Type, flags uint8) { s.id.address(f, t, flags) }

// address makes f, which is empty, a command about the client, without its payload. It fills f in place: a copy of what was just filled in would wait for it.
func (id *ClientID) address(f *link.Frame, t link.Type, flags uint8) {
	f.Type, f.Flags, f.Code, f.Slot, f.Token = t, flags, uint16(id.loop()), id.slot(), id.token()
}
