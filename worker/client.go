package worker

import (
	"context"
	"fmt"

	"sluice/internal/link"
)

// Client is one client: the one that a handler is called for, or another by its id. Its methods may be called from any goroutine, also after the handler
// has returned: from others than the handler's rather through the *Worker, as "Effects are a unit" in the package's documentation says.
//
// UID, RemoteAddr, Listener, Request, Attr, Attrs and Version are known of a client that this worker was given, and empty of others: ask Select for those.
type Client struct {
	API
	id ClientID
	s  *session // nil: not given to this worker
}

// ID is the client's id.
func (c *Client) ID() ClientID { return c.id }

// UID is the uid that the client is bound to; empty: none.
func (c *Client) UID() string {
	if c.s == nil {
		return ""
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.s.known.uid
}

// RemoteAddr is the client's address, host:port.
func (c *Client) RemoteAddr() string {
	if c.s == nil {
		return ""
	}
	return c.s.remote
}

// Listener is the URL of the listener that the client came by.
func (c *Client) Listener() string {
	if c.s == nil {
		return ""
	}
	return c.s.listener
}

// Request is the HTTP request that a WebSocket client came with, nil for others; its methods may be called in either case.
func (c *Client) Request() *Request {
	if c.s == nil {
		return nil
	}
	return c.s.request
}

// Flush sends what the call that runs for the client has done so far, without waiting for its return: for a handler that shows progress. For this call it gives up that
// what it did happens once: should the worker die, or lose its link, before the call has returned, clients have seen what was flushed, and see it again when the next worker
// does. It does not wait until that is written. Without a call that runs it does nothing.
func (c *Client) Flush() error {
	c.aboutToBlock()
	s := c.API.origin
	if s == nil {
		return nil
	}
	s.mu.Lock()
	if s.unit == nil {
		s.mu.Unlock()
		return nil
	}
	frames := s.unit.cut()
	s.undo = nil // it stands, whatever becomes of the call
	s.mu.Unlock()
	return s.link.frames(frames)
}

// Send sends a message to the client.
func (c *Client) Send(m Message) error {
	var room [64]byte
	key, err := m.appendKey(room[:0])
	if err != nil {
		return err
	}
	var f link.Frame
	c.address(&f, link.Send, m.flags())
	return c.emit(&c.id, &f, key, m.Data)
}

// Delivery says what became of a message.
type Delivery uint8

// What becomes of a message.
const (
	Delivered Delivery = iota // the connection has taken it
	Gone                      // the client is not connected
	Refused                   // the connection is closing, full, or of a protocol that cannot carry the message
)

// String is the delivery in a word.
func (d Delivery) String() string {
	switch d {
	case Delivered:
		return "delivered"
	case Gone:
		return "gone"
	}
	return "refused"
}

// Deliver sends a message and waits for the gateway to say what became of it. In a handler it overtakes what the call sent before: that is a unit which goes
// out when the call has returned, while Deliver goes out at once and stands whatever becomes of the call.
func (c *Client) Deliver(ctx context.Context, m Message) (Delivery, error) {
	payload := m.Data
	key, err := m.appendKey(nil)
	if len(key) > 0 {
		payload = append(key, m.Data...)
	}
	var status link.Status
	if err == nil {
		status, _, err = c.ask(ctx, link.Send, m.flags(), payload)
	}
	switch {
	case err != nil:
		return Refused, err
	case status == link.OK:
		return Delivered, nil
	case status == link.Gone:
		return Gone, nil
	}
	return Refused, nil
}

// Close closes the client when what was sent to it has gone out.
func (c *Client) Close() error { return c.command(link.Kick, 0, nil) }

// CloseWith sends a last message and closes the client when it has gone out. Of the message Data and Binary count.
func (c *Client) CloseWith(last Message) error {
	return c.command(link.Kick, last.flags()&link.FlagText|link.FlagLast, last.Data)
}

// Destroy closes the client at once; what has not gone out is lost.
func (c *Client) Destroy() error { return c.command(link.Kick, link.FlagNow, nil) }

// Bind gives the client a uid, in place of the one it has. A uid may have many clients.
func (c *Client) Bind(uid string) error { return c.bind(uid, 0) }

// BindOnly gives the client a uid and closes all other clients of that uid, at all gateways: the newest connection wins, and of those that bind at the same moment one. It is an
// effect of the call like any other: what the call has sent to those clients before reaches them first. Only where the client is not the call's own, and lives at another gateway, may one
// at a third gateway be closed before that.
//
// Gateways that cannot reach each other for more than 10 s do not hear of each other's bindings (gateway.LoopStats.Unreached): then each may keep a client.
func (c *Client) BindOnly(uid string) error { return c.bind(uid, link.FlagExclusive) }

func (c *Client) bind(uid string, flags uint8) error {
	if err := checkKey(uid); err != nil {
		return err
	}
	return c.setUID(link.Bind, flags, uid)
}

// Unbind takes the client's uid away.
func (c *Client) Unbind() error { return c.setUID(link.Unbind, 0, "") }

// Join adds the client to a group, whose name has at most 1,024 bytes. A client that is in as many
// groups as its gateway lets it (gateway.Config.MaxGroups and MaxGroupBytes: 4,096, and 256 KiB of
// names) stays out; the gateway counts that (gateway.LoopStats.GroupsRefused), and JoinNow tells.
func (c *Client) Join(group string) error {
	if err := checkKey(group); err != nil {
		return err
	}
	return c.command(link.Join, 0, []byte(group))
}

// JoinNow adds the client to a group and waits for the gateway to say that it has: ErrRefused where
// the client is in as many groups as it may be, ErrGone where it is not connected. In a handler it
// overtakes what the call did before, and stands whatever becomes of the call, as Deliver does.
func (c *Client) JoinNow(ctx context.Context, group string) error {
	if err := checkKey(group); err != nil {
		return err
	}
	switch status, _, err := c.ask(ctx, link.Join, 0, []byte(group)); {
	case err != nil:
		return err
	case status == link.Gone:
		return ErrGone
	case status != link.OK:
		return fmt.Errorf("%w: join: %v", ErrRefused, status)
	}
	return nil
}

// Leave takes the client out of a group.
func (c *Client) Leave(group string) error {
	if err := checkKey(group); err != nil {
		return err
	}
	return c.command(link.Leave, 0, []byte(group))
}

// Online asks whether the client is connected.
func (c *Client) Online(ctx context.Context) (bool, error) {
	online, err := c.OnlineClients(ctx, c.id)
	return online[c.id], err
}

// Groups asks for the names of the client's groups.
func (c *Client) Groups(ctx context.Context) (groups []string, err error) {
	err = ErrGone
	first := func(rows *link.Cursor) (bool, error) {
		row, e := FieldGroups.read(rows)
		groups, err = row.Groups, nil
		return false, e
	}
	c.pages(ctx, link.TargetClients, idKeys([]ClientID{c.id}), link.FieldGroups, 1, first, func(e error) { err = e })
	return groups, err
}

// command sends a command about the client.
func (c *Client) command(t link.Type, flags uint8, payload []byte) error {
	var f link.Frame
	c.address(&f, t, flags)
	return c.emit(&c.id, &f, nil, payload)
}

// address makes f, which is empty, a command about the client, without its payload. It fills f in place: a copy of what was just filled in would wait for it.
func (c *Client) address(f *link.Frame, t link.Type, flags uint8) {
	f.Type, f.Flags, f.Code, f.Slot, f.Token = t, flags, uint16(c.id.Loop()), c.id.Slot(), c.id.Token()
}

// ask sends a command about the client and waits for its result.
func (c *Client) ask(ctx context.Context, t link.Type, flags uint8, payload []byte) (link.Status, []byte, error) {
	l := c.w.routes.link(c.id.Gateway(), c.id.Loop())
	if l == nil {
		return 0, nil, ErrLinkDown
	}
	var f link.Frame
	c.address(&f, t, flags|link.FlagResult)
	status, q, err := c.question(ctx, l, f, payload)
	if err != nil {
		return 0, nil, err
	}
	return status, q.answer, nil
}
