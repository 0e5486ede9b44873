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

// Request is what a client comes with.
type Request struct {
	Target string            // path and query; empty: not a WebSocket
	Header map[string]string // Cookie too; of those that the gateway keeps (worker.Request), which this one leaves to the test
	Remote string            // host:port. Defaults to 192.0.2.1:1234.

	Subprotocol string // of a WebSocket, that was agreed to; empty: none
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

// Client is a client that the test plays. Its methods are for the test's goroutine.
type Client struct {
	g       *Gateway
	request Request

	// Guarded by the Gateway's mu.
	member registry.Member
	state  state
	letIn  bool // the worker has acknowledged that it is there
	reason worker.Reason
	said   string // by worker.Refuse
	heard  []worker.Message
	more   sync.Cond
}

type state uint8

const (
	open state = iota
	closed
)

// ID is the client's id, as handlers see it.
func (c *Client) ID() worker.ClientID { return worker.ClientID(c.member.ID) }

// Send sends a text message to the worker.
func (c *Client) Send(text string) { c.SendMessage(worker.Text(text)) }

// SendMessage sends a message to the worker.
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
		c.g.tb.Fatal("workertest: the client is closed, or no worker is there")
	}
	f.Slot, f.Token = c.member.ID.Slot(), c.member.ID.Token()
	c.g.link.sequenced(&f)
}

// Next returns the next message that the client gets.
func (c *Client) Next() worker.Message {
	c.g.tb.Helper()
	c.g.mu.Lock()
	defer c.g.mu.Unlock()
	if !c.await(func() bool { return len(c.heard) > 0 || c.state == closed }) {
		c.g.tb.Fatal("workertest: the client got no message")
	}
	if len(c.heard) == 0 {
		c.g.tb.Fatalf("workertest: the client was closed (%v) and got no message", c.reason)
	}
	m := c.heard[0]
	c.heard = c.heard[1:]
	return m
}

// Expect fails the test unless the next message is the text.
func (c *Client) Expect(text string) {
	c.g.tb.Helper()
	if m := c.Next(); string(m.Data) != text {
		c.g.tb.Fatalf("workertest: the client got %q, not %q", m.Data, text)
	}
}

// ExpectContains fails the test unless the next message contains the text, and returns it.
func (c *Client) ExpectContains(text string) string {
	c.g.tb.Helper()
	m := c.Next()
	if !strings.Contains(string(m.Data), text) {
		c.g.tb.Fatalf("workertest: the client got %q, which does not contain %q", m.Data, text)
	}
	return string(m.Data)
}

// ExpectRefused fails the test unless the client is closed by worker.Refuse with the text, with no
// further message.
func (c *Client) ExpectRefused(text string) {
	c.g.tb.Helper()
	c.ExpectClosed(worker.ReasonRefused)
	c.g.mu.Lock()
	defer c.g.mu.Unlock()
	if c.said != text {
		c.g.tb.Fatalf("workertest: the client was refused with %q, not %q", c.said, text)
	}
}

// ExpectClosed fails the test unless the client is closed for the reason, with no further message.
func (c *Client) ExpectClosed(reason worker.Reason) {
	c.g.tb.Helper()
	c.g.mu.Lock()
	defer c.g.mu.Unlock()
	if !c.await(func() bool { return c.state == closed || len(c.heard) > 0 }) {
		c.g.tb.Fatal("workertest: the client was not closed")
	}
	if len(c.heard) > 0 {
		c.g.tb.Fatalf("workertest: the client got %q, and was not just closed", c.heard[0].Data)
	}
	if c.reason != reason {
		c.g.tb.Fatalf("workertest: the client was closed because of %v, not %v", c.reason, reason)
	}
}

// Pending returns how many messages wait for Next.
func (c *Client) Pending() int {
	c.g.mu.Lock()
	defer c.g.mu.Unlock()
	return len(c.heard)
}

// Drop ends the connection from the client's side.
func (c *Client) Drop() {
	c.g.mu.Lock()
	defer c.g.mu.Unlock()
	c.end(worker.ReasonPeer)
}

// await waits for the condition. Called with mu.
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

// hear takes a message of the worker. Called with mu.
func (c *Client) hear(payload []byte, flags uint8) bool {
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
		m.Data = bytes.ToValidUTF8(m.Data, []byte("\uFFFD")) // as a gateway gives it to a WebSocket
	}
	c.heard = append(c.heard, m)
	c.more.Broadcast()
	return true
}

// end closes the client and tells the worker. Called with mu.
func (c *Client) end(reason worker.Reason) {
	if c.state == closed {
		return
	}
	c.state, c.reason = closed, reason
	c.g.members.Remove(&c.member)
	if c.g.link != nil {
		c.g.link.sequenced(&link.Frame{Type: link.Detach, Code: uint16(reason), Slot: c.member.ID.Slot(), Token: c.member.ID.Token()})
	}
	c.more.Broadcast()
}
