package worker

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// Call is one event of one client while its handler runs. It is a value of two words.
//
// The methods with effects (Send, Publish, Close, Join and so on) append to a buffer. The buffer
// reaches the gateway together with the acknowledgement of the event, and the gateway applies all
// of it or nothing. These methods return no error: an effect that is not possible, such as a group
// name of more than 1,024 bytes, fails the call as if the handler had returned that error.
// Goroutines of the handler may use the Call until the handler returns.
//
// A Call ends when its handler returns. Later effects are ignored, counted (Stats.LateEffects) and
// logged with their stack, and workertest fails the test. Goroutines that outlive the handler use
// the Worker. ID, Request, RemoteAddr and Listener stay valid. UID and the attributes are those
// that the worker knows at the time of the call of the method.
type Call struct {
	s *session
	n uint64 // the number of the call in the session
}

// ID returns the client's id.
func (c Call) ID() ClientID { return *c.s.id() }

// Worker returns the worker that runs the handler.
func (c Call) Worker() *Worker { return c.s.link.w }

// UID returns the uid that the client is bound to, or "".
func (c Call) UID() string {
	c.s.Mu.Lock()
	defer c.s.Mu.Unlock()
	return c.s.known.uid
}

// RemoteAddr returns the client's address, which trusted proxies of the gateway may have named.
// Port 0 means that the port is not known. It is the zero AddrPort if the gateway knows no address.
func (c Call) RemoteAddr() netip.AddrPort {
	addr, _ := netip.ParseAddrPort(c.s.remote)
	return addr
}

// Listener returns the URL of the listener that the client is connected to.
func (c Call) Listener() string { return c.s.listener }

// Request returns the HTTP request of a WebSocket client. It is nil for other clients. The methods
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

// Attrs returns the client's present attributes in the order of their keys.
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

// Version returns the version of the client's attributes. It increases with each change.
// Worker.CompareAndSet compares it.
func (c Call) Version() uint32 {
	c.s.Mu.Lock()
	defer c.s.Mu.Unlock()
	return c.s.known.version
}

// Send sends a message to the client.
func (c Call) Send(m Message) {
	var room [64]byte
	key, err := m.appendKey(room[:0])
	var f link.Frame
	c.s.id().address(&f, link.Send, m.flags())
	c.add("Send", &f, key, m.Data, err)
}

// Publish sends a message to clients, at all gateways. If Connect publishes to Everyone, its own
// client gets the message too, although it is not yet admitted.
func (c Call) Publish(t Target, m Message) {
	if id, ok := t.single(); ok {
		c.sendTo(&id, &m)
		return
	}
	if t.isEmpty() {
		return
	}
	var room [256]byte
	code, head, err := t.publish(room[:0], &m)
	f := link.Frame{Type: link.Publish, Flags: m.flags() | link.FlagFar, Code: code}
	c.add("Publish", &f, head, m.Data, err)
	if t.kind == targetEveryone && c.isConnecting() && !slices.Contains(t.except, *c.s.id()) {
		c.Send(m)
	}
}

// sendTo sends a message to one client, at any gateway.
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
		c.add("Publish", &f, key, m.Data, err)
	case loops == 0: // the gateway is not known
		own.w.stats.dropped.Add(1)
	case int(id.loop()) >= loops:
		// The gateway has restarted, or a client has invented the id. The command is not sent: a
		// gateway ends a link that names a loop it does not have.
	default:
		if len(key)+len(m.Data) > link.MaxMessage {
			err = ErrTooBig
		}
		var room [256]byte
		head := append(link.AppendHeader(room[:0], &f, len(key)+len(m.Data)), key...)
		c.add("Publish", &link.Frame{Type: link.Relay, Slot: gateway}, head, m.Data, err)
	}
}

// Close closes the client's connection after everything sent to it has been written.
func (c Call) Close() { c.command("Close", link.Kick, 0, nil, nil) }

// CloseCode is Close with the reason that the client receives: a WebSocket is closed with code and
// text, and other clients receive {"type":"sluice.closed","reason":"refused"} with both. The
// arguments are those of Refuse. Messages of the client that wait for their handler are discarded.
// Handler.Close gets ReasonRefused.
func (c Call) CloseCode(code int, text string) {
	err := Refuse(code, text)
	var payload []byte
	if r, ok := errors.AsType[*refusal](err); ok {
		payload, err = r.payload(), nil
	}
	c.command("CloseCode", link.Kick, link.FlagRefused, payload, err)
}

// CloseNow closes the client's connection at once. Data that has not been written is lost.
func (c Call) CloseNow() { c.command("CloseNow", link.Kick, link.FlagNow, nil, nil) }

// Join adds the client to a group. The name has 1 to 1,024 bytes. If the client is already in as
// many groups as its gateway allows (gateway.Config.MaxGroups and MaxGroupBytes; by default 4,096
// groups and 256 KiB of names), it does not become a member. The gateway counts this
// (JoinsRejected). Worker.Join returns it as an error.
func (c Call) Join(group string) {
	c.command("Join", link.Join, 0, []byte(group), checkKey(group))
}

// Leave removes the client from a group.
func (c Call) Leave(group string) {
	c.command("Leave", link.Leave, 0, []byte(group), checkKey(group))
}

// Bind binds the client to a uid of 1 to 1,024 bytes, in place of its present one. Several clients
// may have the same uid.
func (c Call) Bind(uid string) { c.setUID("Bind", link.Bind, 0, uid, checkKey(uid)) }

// BindExclusive binds the client to a uid and closes all other clients of that uid, at all
// gateways, with ReasonReplaced. If several clients bind a uid at the same time, exactly one stays.
// Messages that this call has sent to the other clients before reach them first.
//
// Gateways that cannot reach each other for more than 10 s do not learn of each other's bindings
// (gateway.LoopStats.CommandsDropped). Each of them may then keep a client of the uid.
func (c Call) BindExclusive(uid string) {
	c.setUID("BindExclusive", link.Bind, link.FlagExclusive, uid, checkKey(uid))
}

// Unbind removes the client's uid.
func (c Call) Unbind() { c.setUID("Unbind", link.Unbind, 0, "", nil) }

// SetAttrs replaces all attributes of the client. Together they take at most 1 MiB, counted as the
// bytes of key and value plus 16 bytes for each attribute.
func (c Call) SetAttrs(attrs map[string]string) { c.set("SetAttrs", attrs, 0) }

// MergeAttrs changes the given attributes and keeps the others. An empty value removes its
// attribute. The limit of SetAttrs applies to the result, as far as this worker knows the
// attributes. If another worker or goroutine changes them at the same time, the gateway may reject
// this change because the result is too large. Then nothing changes, and the gateway counts it
// (AttrsRejected).
func (c Call) MergeAttrs(attrs map[string]string) { c.set("MergeAttrs", attrs, link.FlagMerge) }

// Flush sends the effects of the call so far, for a handler that shows progress. It returns when
// they are queued for the gateway. An error fails the call. Flushed effects stay even if the call
// fails. If the event is delivered again, clients receive them again.
func (c Call) Flush(ctx context.Context) error {
	s := c.s
	s.aboutToBlock()
	s.Mu.Lock()
	if !s.runs(c) {
		s.Mu.Unlock()
		s.noteLateUse()
		return ErrCallEnded
	}
	err := cmp.Or(s.callFailure(), ctx.Err())
	var frames []byte
	if err == nil {
		frames = early(s, s.unit.cut())
		s.commit()
	}
	s.Mu.Unlock()
	if err == nil {
		err = s.link.sendFrames(ctx, frames)
	}
	if err != nil {
		s.Mu.Lock()
		defer s.Mu.Unlock()
		if s.runs(c) {
			s.failCall(err)
		}
	}
	return err
}

// command adds a command about the client. If err is not nil the call fails.
func (c Call) command(method string, t link.Type, flags uint8, payload []byte, err error) {
	var f link.Frame
	c.s.id().address(&f, t, flags)
	c.add(method, &f, nil, payload, err)
}

// add adds a frame to the call's effects. If err is not nil the call fails with it and the name of
// the method.
func (c Call) add(method string, f *link.Frame, head, body []byte, err error) {
	if err == nil && len(head)+len(body) > link.MaxMessage {
		err = ErrTooBig
	}
	s := c.s
	s.Mu.Lock()
	runs := s.runs(c)
	if runs && err == nil {
		err = s.unit.add(f, head, body)
	}
	if runs && err != nil {
		s.failCall(fmt.Errorf("Call.%s: %w", method, err)) //nolint:staticcheck // ST1005: a method of Call
	}
	s.Mu.Unlock()
	if !runs {
		s.noteLateUse()
	}
}

// setUID changes or removes the client's uid, also in the worker's copy.
func (c Call) setUID(method string, t link.Type, flags uint8, uid string, err error) {
	c.change(method, err, func(s *session, u *unit) error {
		var f link.Frame
		s.id().address(&f, t, flags|link.FlagOwn)
		if err := u.add(&f, nil, append(binary.BigEndian.AppendUint32(nil, s.known.uidVersion), uid...)); err != nil {
			return err
		}
		s.saveUndo()
		s.known.uid = uid
		s.known.uidVersion++
		return nil
	})
}

// set changes the client's attributes, also in the worker's copy.
func (c Call) set(method string, attrs map[string]string, flags uint8) {
	list, err := attrList(attrs)
	c.change(method, err, func(s *session, u *unit) error {
		next := link.ChangedAttributes(s.known.attrs, list, flags&link.FlagMerge != 0)
		if link.AttributesSize(next) > link.MaxAttributes {
			return ErrTooBig
		}
		var f link.Frame
		s.id().address(&f, link.Set, flags|link.FlagOwn)
		if err := u.add(&f, nil, versioned(s.known.version, list)); err != nil {
			return err
		}
		s.saveUndo()
		s.known.attrs = next
		s.known.version++
		return nil
	})
}

// change runs f, which changes the session's copy of the uid or the attributes. If err is not nil
// the call fails instead.
func (c Call) change(method string, err error, f func(*session, *unit) error) {
	s := c.s
	s.Mu.Lock()
	runs := s.runs(c)
	if runs && err == nil {
		err = f(s, s.unit)
	}
	if runs && err != nil {
		s.failCall(fmt.Errorf("Call.%s: %w", method, err)) //nolint:staticcheck // ST1005: a method of Call
	}
	s.Mu.Unlock()
	if !runs {
		s.noteLateUse()
	}
}

// isConnecting reports whether this is the call of Connect, so that the gateway has not admitted
// the client yet.
func (c Call) isConnecting() bool {
	c.s.Mu.Lock()
	defer c.s.Mu.Unlock()
	return c.s.runs(c) && c.s.running == inConnect
}

// address sets the header of f, which is empty, for a command about the client. It fills f in
// place, because copying a frame just after it was written would stall.
func (id *ClientID) address(f *link.Frame, t link.Type, flags uint8) {
	f.Type, f.Flags, f.Code, f.Slot, f.Token = t, flags, uint16(id.loop()), id.slot(), id.token()
}
