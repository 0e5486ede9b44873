package worker

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"sluice/internal/link"
)

// Client is one client: the one that a handler is called for, or another by its id. Its methods may be called from any goroutine, also after the handler
// has returned.
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
	return c.s.uid
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

// Request is the HTTP request that a WebSocket client came with, nil for others.
func (c *Client) Request() *Request {
	if c.s == nil {
		return nil
	}
	return c.s.request
}

// Send sends a message to the client.
func (c *Client) Send(m Message) error {
	return c.command(link.Send, m.flags(), m.Data)
}

// Delivery says what became of a message.
type Delivery uint8

// What becomes of a message.
const (
	Delivered Delivery = iota // the connection has taken it
	Gone                      // the client is not connected
	Refused                   // the connection is closing, full, or of a protocol that cannot carry the message
)

// Deliver sends a message and waits for the gateway to say what became of it.
func (c *Client) Deliver(ctx context.Context, m Message) (Delivery, error) {
	status, _, err := c.ask(ctx, link.Send, m.flags(), m.Data)
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

// CloseWith sends a last message and closes the client when it has gone out.
func (c *Client) CloseWith(last Message) error {
	return c.command(link.Kick, last.flags()&link.FlagText|link.FlagLast, last.Data)
}

// Destroy closes the client at once; what has not gone out is lost.
func (c *Client) Destroy() error { return c.command(link.Kick, link.FlagNow, nil) }

// Bind gives the client a uid, in place of the one it has. A uid may have many clients.
func (c *Client) Bind(uid string) error { return c.bind(uid, 0) }

// BindOnly gives the client a uid and closes all other clients of that uid, at all gateways: the newest connection wins.
func (c *Client) BindOnly(uid string) error {
	if err := c.bind(uid, link.FlagExclusive); err != nil {
		return err
	}
	head := append(link.AppendBytes(make([]byte, 0, 128), uid), c.id[:]...)
	for gateway := range *c.w.routes.table.Load() {
		if gateway == c.id.Gateway() {
			continue
		}
		if l := c.w.routes.any(gateway); l != nil {
			_ = l.plain(link.Frame{Type: link.Evict}, head, nil) // a gateway that is down has lost its clients
		}
	}
	return nil
}

func (c *Client) bind(uid string, flags uint8) error {
	if err := checkName(uid); err != nil {
		return err
	}
	err := c.command(link.Bind, flags, []byte(uid))
	if err == nil && c.s != nil {
		c.s.mu.Lock()
		c.s.uid = uid
		c.s.mu.Unlock()
	}
	return err
}

// Unbind takes the client's uid away.
func (c *Client) Unbind() error {
	err := c.command(link.Unbind, 0, nil)
	if err == nil && c.s != nil {
		c.s.mu.Lock()
		c.s.uid = ""
		c.s.mu.Unlock()
	}
	return err
}

// Join adds the client to a group.
func (c *Client) Join(group string) error {
	if err := checkName(group); err != nil {
		return err
	}
	return c.command(link.Join, 0, []byte(group))
}

// Leave takes the client out of a group.
func (c *Client) Leave(group string) error {
	if err := checkName(group); err != nil {
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
func (c *Client) Groups(ctx context.Context) ([]string, error) {
	for row, err := range c.Select(ctx, Query{Clients: []ClientID{c.id}, Fields: FieldGroups}) {
		return row.Groups, err
	}
	return nil, ErrGone
}

// Timer is a function that waits to be run in a client's order.
type Timer struct {
	s *session
	t *time.Timer
}

// Stop keeps the function from running, if it has not begun.
func (t *Timer) Stop() {
	if t.s == nil {
		return
	}
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	t.t.Stop()
	delete(t.s.timers, t)
}

// After runs f in d, in the client's order: never while another call for this client runs. It is dropped when the client goes or moves to another worker. What f does
// goes out by itself. For clients that were not given to this worker nothing happens.
//
//	c.After(10*time.Second, func(c *worker.Client) {
//		if c.UID() == "" {
//			_ = c.Close()
//		}
//	})
func (c *Client) After(d time.Duration, f func(*Client)) *Timer {
	s := c.s
	if s == nil {
		return &Timer{}
	}
	t := &Timer{s: s}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return &Timer{}
	}
	if s.timers == nil {
		s.timers = make(map[*Timer]struct{})
	}
	s.timers[t] = struct{}{}
	t.t = time.AfterFunc(d, func() {
		s.mu.Lock()
		_, due := s.timers[t]
		delete(s.timers, t)
		s.mu.Unlock()
		if due {
			s.queueTask(f)
		}
	})
	return t
}

// stopTimers is part of a client's end.
func (s *session) stopTimers() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for t := range s.timers {
		t.t.Stop()
	}
	s.timers, s.gone = nil, true
}

// Attr returns one attribute of the client's session.
func (c *Client) Attr(key string) (value string, ok bool) {
	if c.s == nil {
		return "", false
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	for _, a := range c.s.attrs {
		if a.Key == key {
			return a.Value, true
		}
	}
	return "", false
}

// Attrs returns a copy of the attributes of the client's session.
func (c *Client) Attrs() map[string]string {
	if c.s == nil {
		return nil
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return attrMap(c.s.attrs)
}

// Version counts the changes of the attributes.
func (c *Client) Version() uint32 {
	if c.s == nil {
		return 0
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.s.version
}

// SetAttrs replaces all attributes.
func (c *Client) SetAttrs(attrs map[string]string) error { return c.set(attrs, 0) }

// MergeAttrs changes the attributes given and leaves the others; an empty value removes its attribute.
func (c *Client) MergeAttrs(attrs map[string]string) error { return c.set(attrs, link.FlagMerge) }

func (c *Client) set(attrs map[string]string, flags uint8) error {
	list, err := attrList(attrs)
	if err != nil {
		return err
	}
	if c.s == nil {
		return c.command(link.Set, flags, link.AppendAttributes(make([]byte, 4), list))
	}
	s := c.s
	s.setting.Lock() // so that versions go down the link in order
	defer s.setting.Unlock()
	s.mu.Lock()
	payload := appendVersioned(nil, s.version, list)
	s.mu.Unlock()
	if err := c.command(link.Set, flags, payload); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attrs = merged(s.attrs, list, flags&link.FlagMerge != 0)
	s.version++
	return nil
}

// CompareAndSet replaces all attributes if their version is still the one given; else it returns ErrConflict, and the client's attributes are those that
// stand at the gateway. It waits for the gateway.
func (c *Client) CompareAndSet(ctx context.Context, version uint32, attrs map[string]string) error {
	list, err := attrList(attrs)
	if err != nil {
		return err
	}
	status, answer, err := c.ask(ctx, link.Set, link.FlagCompare, appendVersioned(nil, version, list))
	if err != nil {
		return err
	}
	switch status {
	case link.OK:
		c.know(version+1, list)
		return nil
	case link.Conflict:
		r := link.Read(answer)
		version, list := r.U32(), r.Attributes()
		if !r.Bad() {
			c.know(version, list)
		}
		return ErrConflict
	case link.Gone:
		return ErrGone
	}
	return fmt.Errorf("%w: %v", ErrRefused, status)
}

func (c *Client) know(version uint32, list []link.Attribute) {
	if c.s != nil {
		c.s.mu.Lock()
		c.s.version, c.s.attrs = version, list
		c.s.mu.Unlock()
	}
}

// command sends a command about the client.
func (c *Client) command(t link.Type, flags uint8, payload []byte) error {
	f := link.Frame{Type: t, Flags: flags, Code: uint16(c.id.Loop()), Slot: c.id.Slot(), Token: c.id.Token()}
	return c.emit(c.id.Gateway(), c.id.Loop(), f, nil, payload)
}

// ask sends a command about the client and waits for its result.
func (c *Client) ask(ctx context.Context, t link.Type, flags uint8, payload []byte) (link.Status, []byte, error) {
	f := link.Frame{Type: t, Flags: flags | link.FlagResult, Code: uint16(c.id.Loop()), Slot: c.id.Slot(), Token: c.id.Token()}
	l := c.w.routes.link(c.id.Gateway(), c.id.Loop())
	if l == nil {
		return 0, nil, ErrLinkDown
	}
	return c.question(ctx, l, f, payload)
}

// appendVersioned appends a version and attributes, as a Set frame carries them.
func appendVersioned(dst []byte, version uint32, list []link.Attribute) []byte {
	return link.AppendAttributes(binary.BigEndian.AppendUint32(dst, version), list)
}

// attrList checks attributes and puts them in order.
func attrList(attrs map[string]string) ([]link.Attribute, error) {
	list := make([]link.Attribute, 0, len(attrs))
	for k, v := range attrs {
		if err := checkName(k); err != nil {
			return nil, err
		}
		list = append(list, link.Attribute{Key: k, Value: v})
	}
	if len(list) > 0xFFFF {
		return nil, ErrTooBig
	}
	slices.SortFunc(list, func(a, b link.Attribute) int { return strings.Compare(a.Key, b.Key) })
	return list, nil
}

// merged is what the gateway makes of attributes that are set.
func merged(old, list []link.Attribute, merge bool) []link.Attribute {
	m := attrMap(nil)
	if merge {
		m = attrMap(old)
	}
	for _, a := range list {
		if merge && a.Value == "" {
			delete(m, a.Key)
		} else {
			m[a.Key] = a.Value
		}
	}
	next, _ := attrList(m) // checked when they were set
	return next
}

func attrMap(list []link.Attribute) map[string]string {
	m := make(map[string]string, len(list))
	for _, a := range list {
		m[a.Key] = a.Value
	}
	return m
}
