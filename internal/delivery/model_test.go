package delivery

import (
	"encoding/binary"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/suite"
)

// The machine alone is driven with random events. After each of them it must be consistent, and no
// message may be lost, repeated without a mark, reordered, or sent to two workers. The transitions
// that happen are exactly those of ARCHITECTURE.md.
func TestModel(t *testing.T) {
	t.Parallel()
	events := suite.OfModel(t, 400_000, 8_000_000, "events")
	all := events > 1_000_000
	parts := runtime.GOMAXPROCS(0)
	tables, given := make([]table, parts), make([]map[string]int, parts)
	t.Run("worlds", func(t *testing.T) {
		for part := range parts {
			tables[part], given[part] = table{}, map[string]int{}
			t.Run(strconv.Itoa(part), func(t *testing.T) {
				t.Parallel()
				for seed := part; seed*400 < events; seed += parts {
					play(t, uint64(seed), tables[part], given[part])
				}
			})
		}
	})
	if t.Failed() {
		return
	}
	seen, letters := table{}, map[string]int{}
	for part := range parts {
		seen.add(tables[part])
		for event, n := range given[part] {
			letters[event] += n
		}
	}
	for _, event := range []string{"connect", "adopt", "message", "close"} {
		if letters[event] == 0 && (all || event != "close") {
			t.Errorf("no event of type %s was given up: %v", event, letters)
		}
	}
	b, err := os.ReadFile("../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	want, err := documented(string(b))
	if err != nil {
		t.Fatalf("ARCHITECTURE.md: %v; the transitions are\n%s", err, seen)
	}
	if list := want.missing(seen, true); len(list) > 0 {
		t.Errorf("ARCHITECTURE.md lacks transitions: %q", list)
	}
	if list := seen.missing(want, all); len(list) > 0 { // a few are so rare that only many events have them
		t.Errorf("transitions of ARCHITECTURE.md that did not happen: %q", list)
	}
	if text := want.String(); !strings.Contains(string(b), text) {
		t.Errorf("ARCHITECTURE.md has another form:\n%s", text)
	}
}

// play lets 400 random events happen, and then everything finish. It adds the dead letters to
// letters, by event.
func play(t *testing.T, seed uint64, seen table, letters map[string]int) {
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	w := newWorld(t, seed, seen)
	for range 400 {
		w.step()
	}
	w.finish()
	for event, n := range w.letters {
		letters[event] += n
	}
}

// step lets one random event happen.
func (w *world) step() {
	w.now += uint32(w.rng.IntN(30))
	switch n := w.rng.IntN(100); {
	case n < 6:
		w.connect()
	case n < 40:
		w.says(w.someClient())
	case n < 62:
		w.acknowledges(w.someLink())
	case n < 68:
		w.flushes(w.someLink())
	case n < 70:
		w.blocks(w.someClient())
	case n < 74:
		w.closes(w.someClient())
	case n < 77:
		w.join()
	case n < 80:
		w.loses(w.someLink())
	case n < 81:
		w.drains(w.someLink())
	case n < 84:
		w.moves(w.someClient())
	case n < 85:
		w.drops(w.someClient())
	case n < 86:
		if k := w.someLink(); k != nil {
			k.Age()
		}
	case n < 90:
		w.now += uint32(w.rng.IntN(1500))
		w.does(evTick, any1, w.book.Tick)
	case n < 93:
		w.resumesTrials()
	case n < 94:
		w.adopts(1 + w.rng.IntN(2))
	case n < 96:
		if k := w.someLink(); k != nil {
			w.credits(k)
		}
	default:
		w.ready(nil)
	}
}

// ready lets a worker take clients. k is its link if that is new.
func (w *world) ready(k *Link) { w.does(evWorker, any1, func() { w.book.WorkerReady(k) }) }

func (w *world) connect() {
	slot := slices.Index(w.slots, nil)
	if slot < 0 {
		if len(w.slots) == 6 {
			return
		}
		slot = len(w.slots)
		w.slots = append(w.slots, nil)
	}
	w.tokens++
	c := &client{token: w.tokens, last: -1}
	c.Slot = uint32(slot)
	w.slots[slot] = c
	w.does(evOpen, is(c), func() { w.book.Open(&c.Client) })
}

func (w *world) says(c *client) {
	if c == nil || c.closed || c.refused || c.Unhandled() > 2000 {
		return
	}
	size := 4 + w.rng.IntN(60)
	if w.rng.IntN(20) == 0 {
		size = w.rng.IntN(3000) + 4
	}
	payload := binary.BigEndian.AppendUint32(nil, uint32(c.said))
	payload = append(payload, make([]byte, size-4)...)
	c.said++
	c.applied, c.given = append(c.applied, false), append(c.given, false)
	w.counted.said++
	w.does(evMessage, is(c), func() {
		if w.book.Accept(&c.Client, size) {
			w.book.Sent(&c.Client, w.message(c, c.Last()+1, payload, 0), size)
		} else {
			w.book.Enqueue(&c.Client, payload, 0)
		}
	})
}

// acknowledges lets a worker handle some events of a client.
func (w *world) acknowledges(k *worker) {
	if k == nil {
		return
	}
	var due []*holding
	for token := range w.tokens {
		if h := k.has[token+1]; h != nil && !h.moved && (!h.attached || len(h.messages) > 0 || h.gone) {
			due = append(due, h)
		}
	}
	if len(due) == 0 {
		return
	}
	h := due[w.rng.IntN(len(due))]
	some := min(w.rng.IntN(4), len(h.messages))
	if h.attached && some == 0 {
		some = min(1, len(h.messages))
	}
	left := h.gone && some == len(h.messages)
	w.acknowledge(k, h, some, left)
	w.credits(k)
	w.does(evWorker, any1, func() { w.book.CatchUp(&k.Link) })
}

// acknowledge acknowledges the next messages of a client, and with left its DETACH.
func (w *world) acknowledge(k *worker, h *holding, messages int, left bool) {
	c, n := h.of, h.acked+uint32(messages)
	d := &c.Client
	if w.slots[c.Slot] != c {
		d = nil // it is forgotten
	}
	if wrong := n + uint32(len(h.messages)) + 1; d != nil && d.Link() == &k.Link {
		if w.book.Check(&k.Link, d, wrong, false) == nil || h.attached && w.book.Check(&k.Link, d, h.acked, false) == nil {
			w.Fatalf("client %d: an acknowledgement of nothing is allowed", c.Slot)
		}
	}
	if err := w.book.Check(&k.Link, d, n, left); err != nil {
		w.Fatalf("%v: client %d %v %+v, holding %+v", err, c.Slot, c.state, c.Client, h)
	}
	if d != nil && !h.attached && !c.admitted && !c.refused && w.rng.IntN(8) == 0 {
		w.does(evReject, is(c), func() { w.book.Reject(d) })
		c.refused = true
	}
	if d != nil {
		c.admitted = c.admitted || !c.refused
		for _, m := range h.messages[:messages] {
			if c.applied[m] || m <= c.last {
				w.Fatalf("client %d: message %d is acknowledged twice or late", c.Slot, m)
			}
			c.applied[m], c.last = true, m
			w.counted.handled++
		}
	}
	h.attached, h.acked, h.messages = true, n, h.messages[messages:]
	if left {
		delete(k.has, c.token)
	}
	w.does(evAcknowledge, is(c), func() { w.book.Acknowledge(&k.Link, d, n, left) })
}

// blocks lets a handler of a client block.
func (w *world) blocks(c *client) {
	if c == nil {
		return
	}
	k := w.someLink()
	if c.with != nil && w.rng.IntN(8) > 0 {
		k = c.with // else it comes late, from a worker that does not have the client
	}
	if k != nil {
		w.does(evBlock, is(c), func() { k.Block(&c.Client) })
		w.credits(k)
	}
}

func (w *world) credits(k *worker) {
	w.does(evCredit, func(c *client) bool { return c.before.hasLink() && c.with == k }, func() { w.book.Credit(&k.Link) })
}

// flushes lets the kernel accept what was written to a link.
func (w *world) flushes(k *worker) {
	if k == nil || len(k.out) == 0 {
		return
	}
	w.busy = true
	w.book.Flushed(&k.Link, slices.Clone(k.out), k.serial)
	w.busy = false
	k.out = nil
	k.serial++
	w.verify()
}

func (w *world) closes(c *client) {
	if c == nil || c.closed {
		return
	}
	c.closed = true
	w.does(evClose, is(c), func() { w.book.Close(&c.Client) })
}

// join opens a link of a new worker, or of one that has lost its link.
func (w *world) join() {
	if len(w.links) == 3 {
		return
	}
	k := &worker{id: byte(1 + w.rng.IntN(8)), open: true, has: make(map[uint64]*holding), serial: w.rng.Uint32()}
	window := uint32(200 + w.rng.IntN(2000))
	k.Init(k, [16]byte{k.id}, window)
	if w.rng.IntN(2) == 0 {
		k.Share = 1 + w.rng.IntN(300)
	}
	w.links = append(w.links, k)
	for c := range w.clients() {
		for i := range c.failed {
			x := &c.failed[i]
			x.back = x.back || x.how == Broken && x.worker == k.id
		}
	}
	w.ready(&k.Link)
}

// loses ends a link. The Book hears of it later than the link's connection has ended.
func (w *world) loses(k *worker) {
	if k == nil {
		return
	}
	if k.open = false; w.rng.IntN(3) == 0 && !w.calm {
		w.says(w.someClient())
	}
	w.lose(k, []End{Closed, Broken, Broken, Replaced}[w.rng.IntN(4)])
}

func (w *world) lose(k *worker, how End) {
	k.open = false
	w.links = slices.DeleteFunc(w.links, func(x *worker) bool { return x == k })
	had := make(map[*client]bool)
	for c := range w.clients() {
		had[c] = c.Link() == &k.Link
	}
	w.does(evLost, func(c *client) bool { return had[c] }, func() {
		w.book.Lost(&k.Link, k.out)
		for c := range w.clients() {
			if c.Link() == &k.Link {
				c.with, c.lost, c.heard = nil, k, k.has[c.token].attached
				if how != Replaced && c.eventOut() {
					c.failed = append(c.failed, failure{k.id, how, false})
				}
				w.book.Orphan(&c.Client, how)
			}
		}
	})
	w.ready(nil)
}

func (w *world) drains(k *worker) {
	if k == nil || k.IsDraining() {
		return
	}
	w.book.Drain(&k.Link)
	for _, c := range slices.Collect(w.clients()) {
		if c.Link() == &k.Link {
			w.move(c, Drained)
		}
	}
}

func (w *world) moves(c *client) {
	if c != nil {
		w.move(c, Moved)
	}
}

func (w *world) move(c *client, why Cause) {
	if c.state == Assigned || c.state == Credit {
		c.moved = why
	}
	w.does(evMove, is(c), func() { w.book.Move(&c.Client, why) })
}

// adopts lets some parked clients be adopted.
func (w *world) adopts(most int) {
	if w.pacing {
		w.pacing = false
		w.does(evAdopt, func(c *client) bool { return c.before == Parked }, func() { w.book.Adopt(most) })
	}
}

// drops rejects what is queued of a client, as a gateway does before it closes the client.
func (w *world) drops(c *client) {
	if c == nil || c.closed {
		return
	}
	w.does(evDrop, is(c), func() { w.book.Drop(&c.Client) })
	w.closes(c)
}

func (w *world) resumesTrials() {
	if w.paused {
		w.paused = false
		w.does(evTrial, func(c *client) bool { return c.before == Suspect }, w.book.TrialsPaused)
	}
}

// finish lets everything finish: all events of open clients must be handled, and all clients must
// have a worker.
func (w *world) finish() {
	w.calm = true
	for round := 0; ; round++ {
		if len(w.takers()) == 0 {
			for len(w.links) > 2 {
				w.loses(w.links[0])
			}
			w.join()
		}
		w.now += 500
		w.resumesTrials()
		w.adopts(2)
		w.does(evTick, any1, w.book.Tick)
		for _, k := range slices.Clone(w.links) {
			for token := range w.tokens {
				if h := k.has[token+1]; h != nil && !h.moved && (!h.attached || len(h.messages) > 0 || h.gone) {
					w.acknowledge(k, h, len(h.messages), h.gone)
				}
			}
			w.credits(k)
			w.does(evWorker, any1, func() { w.book.CatchUp(&k.Link) })
			w.flushes(k)
		}
		w.ready(nil)
		if w.rests() {
			break
		}
		if round > 200 {
			waiting, suspect := w.book.WaitingClients()
			w.Fatalf("it does not come to rest: %d bytes, %d waiting, %d suspect", w.book.queued, waiting, suspect)
		}
	}
	done := w.counted.handled + w.counted.dead + int(w.book.MessagesRejected)
	if w.counted.said != done {
		w.Fatalf("%d messages came, %d were handled, %d rejected, %d dead letters", w.counted.said, w.counted.handled,
			w.book.MessagesRejected, w.counted.dead)
	}
	for _, k := range w.links {
		if n, bytes := k.InFlight(); n != 0 || bytes != 0 || len(k.log.order) != 0 {
			w.Fatalf("%d events and %d bytes are in flight, %d buffers kept", n, bytes, len(k.log.order))
		}
	}
}

// rests reports whether nothing is queued, in flight or waiting.
func (w *world) rests() bool {
	for c := range w.clients() {
		if c.InFlight() > 0 || c.HasQueue() || c.closed || c.IsSuspect() || c.state == Moving {
			return false
		}
	}
	return w.book.queued == 0 && w.book.departed == 0 && w.book.adoptions.due == 0
}

// The machine allocates nothing once it is warm, whichever way a message takes.
func TestNoAllocations(t *testing.T) { // not parallel: it counts allocations
	w := newWorld(t, 1, table{})
	h := &quietHost{world: w}
	w.book.Init(h, Limits{MaxQueue: 1 << 20, MaxUnrouted: 1 << 20, MaxDeliveries: 5, MaxDeparted: 10, MaxLeaving: 10})
	k := &worker{open: true}
	k.Init(k, [16]byte{1}, 1000)
	h.k = &k.Link
	c := &Client{}
	w.book.Open(c)
	w.book.Acknowledge(h.k, c, 0, false)
	payload := make([]byte, 100)
	buf := make([]byte, 0, 1<<10)
	serial := uint32(0)
	if n := testing.AllocsPerRun(1000, func() {
		for i := range 20 { // more than fit in the window
			if size := 50 + i; w.book.Accept(c, size) {
				w.book.Sent(c, h.serial, size)
			} else {
				w.book.Enqueue(c, payload[:size], link.FlagText)
			}
		}
		for c.out > 0 {
			w.book.Flushed(h.k, buf, h.serial)
			h.serial++
			w.book.Acknowledge(h.k, c, c.handled+1, false)
			w.book.Credit(h.k)
		}
		serial++
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if c.HasQueue() || c.InFlight() > 0 || w.book.Queued == 0 {
		t.Errorf("%d in flight, %d were queued", c.InFlight(), w.book.Queued)
	}
}

// quietHost is a Host with one link that allocates nothing.
type quietHost struct {
	*world
	k      *Link
	serial uint32
	paces  int // calls of PaceAdoptions
}

func (h *quietHost) Pick(*Client) *Link                            { return h.k }
func (h *quietHost) Attach(*Client, Attachment) (uint32, int)      { return h.serial, 50 }
func (h *quietHost) Message(*Client, uint32, []byte, uint8) uint32 { return h.serial }
func (h *quietHost) Recycle([]byte)                                {}
func (h *quietHost) PaceAdoptions()                                { h.paces++ }
