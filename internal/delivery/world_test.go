package delivery

import (
	"encoding/binary"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// world is a Host: clients, links and workers that do something at random, and what must be true of
// them.
type world struct {
	testing.TB
	book    Book
	rng     *rand.Rand
	now     uint32
	slots   []*client // by slot; nil: free
	links   []*worker // that are open, in any order
	tokens  uint64
	paused  bool
	busy    bool // inside of a call of the Book
	calm    bool // no more faults
	seen    table
	counted struct{ handled, rejected, dead, said int }
}

// client is a client, and what is known of its messages.
type client struct {
	Client
	token    uint64
	said     int
	applied  []bool // by message
	given    []bool // by message: some worker got it
	last     int    // the newest applied message
	admitted bool
	closed   bool // its connection has ended
	refused  bool
	with     *worker
	before   State     // at the start of an event
	failed   []failure // deliveries of its oldest event, oldest first
}

// failure is a delivery whose link ended before the event was acknowledged.
type failure struct {
	worker byte
	how    End
	back   bool // the link broke, and the worker has come back
}

// worker is a link and the worker at its end.
type worker struct {
	Link
	id     byte
	out    []byte // the buffer that is being written
	serial uint32
	has    map[uint64]*holding // by token
	open   bool
}

// holding is what a worker has of a client.
type holding struct {
	of          *client
	number      uint32 // of the newest message
	acked       uint32
	attached    bool  // the ATTACH is acknowledged
	messages    []int // not acknowledged
	gone, moved bool
	redelivered int // that are still to come
}

func newWorld(tb testing.TB, seed uint64, seen table) *world {
	w := &world{TB: tb, rng: rand.New(rand.NewPCG(seed, 7)), seen: seen}
	w.now = w.rng.Uint32()
	w.book.Init(w, Limits{
		MaxQueue: 300 + w.rng.IntN(2000), MaxUnrouted: 300 + w.rng.IntN(3000), QueueTimeout: 3000,
		MaxDeliveries: 3 + w.rng.IntN(2), MaxDeparted: 2 + w.rng.IntN(20), MaxLeaving: 1 + w.rng.IntN(4),
	})
	return w
}

func (w *world) of(c *Client) *client { return w.slots[c.Slot] }

func linkOf(k *Link) *worker { return k.Owner.(*worker) }

// Now implements Host.
func (w *world) Now() uint32 { return w.now }

func (w *world) takers() (list []*worker) {
	for _, k := range w.links {
		if k.open && !k.IsDraining() && !k.Behind() {
			list = append(list, k)
		}
	}
	return list
}

// Alone implements Host.
func (w *world) Alone() bool { return len(w.takers()) == 0 }

// Pick implements Host.
func (w *world) Pick(*Client) *Link {
	w.inside()
	list := w.takers()
	if len(list) == 0 || w.rng.IntN(20) == 0 && !w.calm {
		return nil
	}
	return &list[w.rng.IntN(len(list))].Link
}

// inside checks that a Host is called by the Book.
func (w *world) inside() {
	if !w.busy {
		w.Fatal("the Host is called, and no event happens")
	}
}

// Client implements Host.
func (w *world) Client(slot uint32, token uint64) *Client {
	if c := w.slots[slot]; c != nil && c.token == token {
		return &c.Client
	}
	return nil
}

// IsClosed implements Host.
func (w *world) IsClosed(k *Link) bool { return !linkOf(k).open }

func (k *worker) write(c *client, f link.Frame) (serial uint32, size int) {
	f.Slot, f.Token = c.Slot, c.token
	before := len(k.out)
	k.out = link.Append(k.out, &f)
	return k.serial, len(k.out) - before
}

// Attach implements Host.
func (w *world) Attach(d *Client, a Attachment) (serial uint32, size int) {
	w.inside()
	c, k := w.of(d), linkOf(d.link)
	if c.with != nil && c.with != k {
		w.Fatalf("client %d is with two workers", c.Slot)
	}
	if a.New != (!c.admitted && !c.refused) || a.Cause == connected && !a.New {
		w.Fatalf("client %d: attached with %+v, admitted %v", c.Slot, a, c.admitted)
	}
	if k.has[c.token] != nil && !k.has[c.token].moved {
		w.Fatalf("client %d is attached twice", c.Slot)
	}
	c.with = k
	k.has[c.token] = &holding{of: c, number: a.Handled, acked: a.Handled, redelivered: a.Redelivered}
	return k.write(c, link.Frame{Type: link.Attach, ID: a.Handled, Payload: make([]byte, w.rng.IntN(30))})
}

// Message implements Host.
func (w *world) Message(d *Client, number uint32, payload []byte, flags uint8) (serial uint32) {
	w.inside()
	return w.message(w.of(d), number, payload, flags)
}

func (w *world) message(c *client, number uint32, payload []byte, flags uint8) (serial uint32) {
	k := linkOf(c.link)
	h := k.has[c.token]
	n := int(binary.BigEndian.Uint32(payload))
	again := flags&link.FlagRedelivered != 0
	switch {
	case h == nil || h.moved || h.gone:
		w.Fatalf("client %d: a message for a worker that does not have it", c.Slot)
	case number != h.number+1:
		w.Fatalf("client %d: message %d has number %d behind %d", c.Slot, n, number, h.number)
	case c.applied[n] || c.refused:
		w.Fatalf("client %d: message %d comes again although it is done", c.Slot, n)
	case len(h.messages) > 0 && h.messages[len(h.messages)-1] >= n, n <= c.last:
		w.Fatalf("client %d: message %d comes behind a newer one", c.Slot, n)
	case again != c.given[n], again != (h.redelivered > 0):
		w.Fatalf("client %d: message %d is marked as redelivered %v, %d are to come", c.Slot, n, again, h.redelivered)
	}
	if again {
		h.redelivered--
	}
	c.given[n], h.number = true, number
	h.messages = append(h.messages, n)
	serial, _ = k.write(c, link.Frame{Type: link.Message, Flags: flags, ID: number, Payload: payload})
	return serial
}

// Detach implements Host.
func (w *world) Detach(d *Client, moved bool) (serial uint32) {
	w.inside()
	c, k := w.of(d), linkOf(d.link)
	h := k.has[c.token]
	if h == nil || h.gone || moved && (len(h.messages) > 0 || !h.attached) || !moved && !c.closed {
		w.Fatalf("client %d: detached, moved %v, with %+v", c.Slot, moved, h)
	}
	f := link.Frame{Type: link.Detach, ID: h.number}
	if c.with = nil; moved {
		h.moved, f.Flags = true, link.FlagMoved
	} else {
		h.gone = true
	}
	serial, _ = k.write(c, f)
	return serial
}

// Recycle implements Host.
func (w *world) Recycle(buf []byte) { clear(buf) }

// Rejected implements Host.
func (w *world) Rejected(_ *Client, code string, count int) {
	if code == CodeDeadLetter && count != 1 {
		w.Fatalf("%d dead letters", count)
	}
}

// Refuse implements Host.
func (w *world) Refuse(c *Client) { w.of(c).refused = true }

// DeadLetter implements Host.
func (w *world) DeadLetter(d *Client, event string, _, deliveries int) {
	c, blamed, trials := w.of(d), 0, 0
	for i, x := range c.failed { // the first ones make the event suspect, even if the worker has come back
		blamed += boolInt(i < SuspectAfter || !x.back)
		trials += boolInt(i >= SuspectAfter && x.how == Broken)
	}
	if deliveries != len(c.failed) || blamed < w.book.MaxDeliveries && trials < maxBroken*w.book.MaxDeliveries {
		w.Fatalf("client %d: dead letter after %d deliveries: %+v", c.Slot, deliveries, c.failed)
	}
	c.failed = nil
	if event == "message" {
		w.counted.dead++
	}
}

// Forget implements Host.
func (w *world) Forget(d *Client) {
	c := w.of(d)
	for _, k := range w.links { // too many have gone: that its last messages are handled is not waited for
		if h := k.has[c.token]; h != nil && !h.moved {
			w.counted.handled += len(h.messages)
		}
	}
	w.slots[d.Slot] = nil
}

// Resume implements Host.
func (w *world) Resume(*Link) {}

// ResumeClient implements Host.
func (w *world) ResumeClient(*Client) {}

// TakesClients implements Host.
func (w *world) TakesClients(k *Link, on bool) {
	if on == k.Behind() {
		w.Fatal("a link is behind and is said not to be, or the other way round")
	}
}

// PauseTrials implements Host.
func (w *world) PauseTrials() { w.paused = true }

// clients yields the clients that are not forgotten.
func (w *world) clients() iter.Seq[*client] {
	return func(yield func(*client) bool) {
		for _, c := range w.slots {
			if c != nil && !yield(c) {
				return
			}
		}
	}
}

func (w *world) verify() {
	err := w.book.Verify(func(yield func(*Client) bool) {
		for c := range w.clients() {
			if !yield(&c.Client) {
				return
			}
		}
	}, func(yield func(*Link) bool) {
		for _, k := range w.links {
			if !yield(&k.Link) {
				return
			}
		}
	})
	if err != nil {
		w.Fatal(err)
	}
}

// does lets an event happen, and records what it does to the state of clients: of the one that it
// is about, or of those that it is about.
func (w *world) does(ev event, about func(c *client) bool, do func()) {
	all := slices.Clone(w.slots)
	for _, c := range all {
		if c != nil {
			c.before = c.state
		}
	}
	w.busy = true
	do()
	w.busy = false
	for _, c := range all {
		switch {
		case c == nil:
		case about(c):
			w.seen.note(c.before, ev, c.state)
		case c.before != c.state:
			w.seen.note(c.before, evOthers, c.state)
		}
	}
	for c := range w.clients() {
		if c.tries == 0 {
			c.failed = nil // its oldest event is another one
		}
	}
	w.verify()
}

func is(c *client) func(*client) bool { return func(x *client) bool { return x == c } }

func any1(*client) bool { return true }

// someClient picks a client, or returns nil.
func (w *world) someClient() *client {
	all := slices.Collect(w.clients())
	if len(all) == 0 {
		return nil
	}
	return all[w.rng.IntN(len(all))]
}

func (w *world) someLink() *worker {
	if len(w.links) == 0 {
		return nil
	}
	return w.links[w.rng.IntN(len(w.links))]
}
