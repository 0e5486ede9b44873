package workertest

import (
	"bytes"
	"strings"
	"sync"
	"time"

	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/registry"
	"github.com/seed-7410fe32/sluice/worker"
)

// Request describes how a client connects.
type Request struct {
	Target string // path and query; empty if the client is not a WebSocket
	// Header has the header fields that the handler can see, cookies included. All of them are kept,
	// while a real gateway keeps only those that its listener is configured to keep.
	Header      map[string]string
	Remote      string // host:port. Defaults to 192.0.2.1:1234.
	Subprotocol string // selected subprotocol of a WebSocket, or empty
	// UID and Attrs are what gateway.ListenerConfig.OnUpgrade has said of the client, or empty.
	UID   string
	Attrs map[string]string
}

func (r *Request) headers() (list []link.Header) {
	for name, value := range r.Header {
		list = append(list, link.Header{Name: name, Value: value})
	}
	if r.Subprotocol != "" {
		list = append(list, link.Header{Name: link.SubprotocolHeader, Value: r.Subprotocol})
	}
	return list
}

// attributes returns Attrs as a gateway has them.
func (r *Request) attributes() (list []link.Attribute) {
	for key, value := range r.Attrs {
		list = append(list, link.Attribute{Key: key, Value: value})
	}
	return list
}

// Client is a client that the test controls. Its methods must be called by the test's goroutine.
type Client struct {
	g       *Gateway
	request Request

	// Guarded by the Gateway's mu.
	member      registry.Member
	state       state
	admitted    bool   // the worker has acknowledged its Connect
	number      uint32 // of its newest message
	reason      worker.Reason
	refusalText string // the text of worker.Refuse
	received    []worker.Message
	more        sync.Cond
}

type state uint8

const (
	open state = iota
	closed
)

// ID returns the client's id, as handlers see it.
func (c *Client) ID() worker.ClientID { return worker.ClientID(c.member.ID) }

// Send sends a text message to the worker.
func (c *Client) Send(text string) { c.SendMessage(worker.Text(text)) }

// SendMessage sends a message to the worker. Only Data, Binary and Redelivered of the message are
// used.
func (c *Client) SendMessage(m worker.Message) {
	c.g.tb.Helper()
	f := link.Frame{Type: link.Message, Payload: m.Data}
	if !m.Binary {
		f.Flags |= link.FlagText
	}
	if m.Redelivered {
		f.Flags |= link.FlagRedelivered
	}
	c.toWorker(f)
}

func (c *Client) toWorker(f link.Frame) {
	c.g.tb.Helper()
	c.g.mu.Lock()
	defer c.g.mu.Unlock()
	if c.state != open || c.g.link == nil {
		c.g.tb.Fatal("workertest: cannot send: the client is closed or no worker is connected")
	}
	c.number++
	f.ID, f.Slot, f.Token = c.number, c.member.ID.Slot(), c.member.ID.Token()
	c.g.link.send(&f)
}

// Next returns the next message to the client. It fails the test if none comes within Timeout.
func (c *Client) Next() worker.Message {
	c.g.tb.Helper()
	c.g.mu.Lock()
	defer c.g.mu.Unlock()
	if !c.await(func() bool { return len(c.received) > 0 || c.state == closed }) {
		c.g.tb.Fatalf("workertest: the client got no message within %v", Timeout)
	}
	if len(c.received) == 0 {
		c.g.tb.Fatalf("workertest: the client got no message and was closed: %v", c.reason)
	}
	m := c.received[0]
	c.received = c.received[1:]
	return m
}

// Expect fails the test unless the next message to the client is text.
func (c *Client) Expect(text string) {
	c.g.tb.Helper()
	if m := c.Next(); string(m.Data) != text {
		c.g.tb.Fatalf("workertest: the client got %q, want %q", m.Data, text)
	}
}

// ExpectContains fails the test unless the next message to the client contains text. It returns the
// message.
func (c *Client) ExpectContains(text string) string {
	c.g.tb.Helper()
	m := c.Next()
	if !strings.Contains(string(m.Data), text) {
		c.g.tb.Fatalf("workertest: the client got %q, which does not contain %q", m.Data, text)
	}
	return string(m.Data)
}

// ExpectRefused fails the test unless the client is closed by worker.Refuse with text, before
// another message.
func (c *Client) ExpectRefused(text string) {
	c.g.tb.Helper()
	c.ExpectClosed(worker.ReasonRefused)
	c.g.mu.Lock()
	defer c.g.mu.Unlock()
	if c.refusalText != text {
		c.g.tb.Fatalf("workertest: the client was refused with %q, want %q", c.refusalText, text)
	}
}

// ExpectClosed fails the test unless the client is closed for reason, before another message.
func (c *Client) ExpectClosed(reason worker.Reason) {
	c.g.tb.Helper()
	c.g.mu.Lock()
	defer c.g.mu.Unlock()
	if !c.await(func() bool { return c.state == closed || len(c.received) > 0 }) {
		c.g.tb.Fatalf("workertest: the client was not closed within %v", Timeout)
	}
	if len(c.received) > 0 {
		c.g.tb.Fatalf("workertest: the client got %q before it was closed", c.received[0].Data)
	}
	if c.reason != reason {
		c.g.tb.Fatalf("workertest: the client was closed: %v, want %v", c.reason, reason)
	}
}

// Pending returns the number of messages to the client that Next has not returned yet.
func (c *Client) Pending() int {
	c.g.mu.Lock()
	defer c.g.mu.Unlock()
	return len(c.received)
}

// Drop closes the connection from the client's side.
func (c *Client) Drop() {
	c.g.mu.Lock()
	defer c.g.mu.Unlock()
	c.end(worker.ReasonPeer)
}

// await waits until done returns true or Timeout has passed. It returns the last result of done.
// Called with mu.
func (c *Client) await(done func() bool) bool {
	late := false
	stop := time.AfterFunc(Timeout, func() {
		c.g.mu.Lock()
		late = true
		c.g.mu.Unlock()
		c.more.Broadcast()
	})
	defer stop.Stop()
	for !done() && !late {
		c.more.Wait()
	}
	return done()
}

// receive adds a message from the worker. Called with mu.
func (c *Client) receive(payload []byte, flags uint8) bool {
	if c.state != open {
		return false
	}
	m := worker.Message{
		Binary: flags&link.FlagText == 0, Raw: flags&link.FlagRaw != 0,
		Overflow: worker.Overflow(flags & link.FlagOverflow >> link.OverflowShift),
	}
	if flags&link.FlagLatest != 0 {
		key := link.Read(payload)
		m.Conflate = string(key.Bytes())
		payload = key.Rest()
	}
	m.Data = append([]byte(nil), payload...)
	if !m.Binary && flags&link.FlagRaw == 0 {
		m.Data = bytes.ToValidUTF8(m.Data, []byte("\uFFFD")) // as a gateway does for a WebSocket
	}
	c.received = append(c.received, m)
	c.more.Broadcast()
	return true
}

// end closes the client and sends the worker a Detach. Called with mu.
func (c *Client) end(reason worker.Reason) {
	if c.state == closed {
		return
	}
	c.state, c.reason = closed, reason
	c.g.members.Remove(&c.member)
	if c.g.link != nil {
		c.g.link.send(&link.Frame{Type: link.Detach, Code: uint16(reason),
			ID: c.number, Slot: c.member.ID.Slot(), Token: c.member.ID.Token()})
	}
	c.more.Broadcast()
}
