package bench

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/seed-7410fe32/sluice/engine"
)

// A shard is the share of one event loop in a run: its clients and what they counted. All of it belongs to the loop.
type shard struct {
	// Static after newShard.
	run     *generator
	loop    *engine.Loop
	opts    *Options
	layout  layout
	text    bool   // messages go as text
	typed   bool   // and come back as they went: the codec tells text from binary
	verb    byte   // of a message
	message []byte // the next one; only verb, target and stamp change
	packet  []byte // message with the envelope around it, if there is one
	scratch []byte // the packet where the envelope changes from one to the next
	hello   []byte // the next command

	// Owned by the loop.
	now      int64     // microseconds since the run began, as of the callback in progress
	running  bool      // messages may be sent
	clients  []*client // those whose accounts are open: all, or of connections that come and go those that stand
	senders  []*client // in the order of their next turn, for the open loop
	turn     int
	due      float64  // open loop: when the next message is to be sent
	paced    int      // open loop: messages whose time has come
	schedule schedule // open loop
	tally
	rand     *rand.Rand
	audit    Audit
	errors   map[string]*ErrorCount
	latency  *hdrhistogram.Histogram // since the last sample
	lateness *hdrhistogram.Histogram
}

func newShard(g *generator, loop *engine.Loop) *shard {
	o := &g.opts
	l := &shard{
		run: g, loop: loop, opts: o, layout: layoutOf(o.Mode, o.inner(), o.Size), text: o.Codec.isText() || o.Envelope != nil, verb: verbs[o.Mode], rand: seeded(loop.Index()),
		errors: make(map[string]*ErrorCount), latency: newHistogram(), lateness: newHistogram(),
	}
	l.typed = o.Codec == WebSocket
	l.message, l.hello = l.layout.template(), l.layout.template()
	l.packet = l.message
	if o.Envelope != nil {
		l.packet, l.message = o.Envelope.Out.around(l.message)
	}
	return l
}

// verbs are what the bench worker is told in each mode.
var verbs = map[Mode]byte{Push: verbPush, Rooms: verbRoom, Broadcast: verbBroadcast}

// tick takes the time for everything that happens in one callback.
func (l *shard) tick() { l.now = time.Since(l.run.began).Microseconds() }

// fill gives a closed-loop sender its first messages, or a short-lived one its first; a person thinks first.
func (l *shard) fill(c *client) {
	if c.person != nil {
		c.person.rest()
		return
	}
	if l.opts.Rate > 0 && c.life == 0 {
		return
	}
	n := l.opts.InFlight
	if c.life > 0 {
		n = min(n, c.life)
	}
	l.tick() // what was sent to others before took its time
	for range n {
		c.send(l.now)
	}
}

// arrived enters a message that c received and that had not come before, and in a closed loop sends the next. What is not whole counts for no figure but the audit.
func (l *shard) arrived(c *client, s stamp, whole bool) {
	if whole && l.opts.Mode != Connect {
		l.count(s.since(l.now))
	}
	switch {
	case c.ahead > 0:
		c.ahead-- // something else has been taken for this one, and the next is sent
	case l.opts.Mode == Push || s.stream == c.id:
		l.follow(c, whole)
	}
}

// follow has what comes after an answer follow: the next message, or the end of a short life.
func (l *shard) follow(c *client, whole bool) {
	c.inFlight--
	switch {
	case c.life > 0:
		l.shorten(c, whole)
	case l.opts.Rate == 0 && l.running:
		c.send(l.now)
	}
}

// intact tells whether a message whose stamp could be read is otherwise as it was sent.
func (l *shard) intact(p []byte, verb byte, target *[targetLen]byte) bool {
	o := &l.layout
	return (o.quote == 0 || p[0] == '"') && (!o.verb() || p[o.quote] == verb) && (o.target == 0 || [targetLen]byte(p[o.target:]) == *target) &&
		bytes.Equal(p[o.stamp+stampLen:], l.message[o.stamp+stampLen:])
}

// count enters one finished thing that was begun at the time given.
func (l *shard) count(begun int64) {
	l.Messages++
	l.Bytes += uint64(l.layout.size)
	if begun >= l.run.from && begun < l.run.until {
		_ = l.latency.RecordValue(min(max(l.now-begun, 1), l.latency.HighestTrackableValue()))
	}
}

// shorten takes a message off the life of a client and ends it with the last one.
func (l *shard) shorten(c *client, whole bool) {
	c.life--
	switch {
	case c.life == 0:
		if whole && l.opts.Mode == Connect {
			l.count(c.dialled)
		}
		c.over = true
	case int32(c.life) > c.inFlight:
		c.send(l.now)
	}
}

// replace closes the books of a client that is over and dials the next in its place.
func (l *shard) replace(c *client) {
	last := l.clients[len(l.clients)-1]
	l.clients[c.slot], last.slot = last, c.slot
	l.clients = l.clients[:len(l.clients)-1]
	c.close(nil, &l.audit)
	if l.running {
		l.run.redial(l.run.newClient(c.id))
	}
}

// atOnce is how many messages of an open loop are sent before the loop looks at its connections again. A shard that is far behind would read nothing otherwise.
const atOnce = 256

// pace sends the messages that are due by now, in an open loop, as many as go at once.
func (l *shard) pace() {
	l.tick()
	for range atOnce {
		if !l.running || l.due > float64(l.now) || len(l.senders) == 0 {
			return
		}
		due := int64(l.due)
		switch c := l.next(); {
		case c != nil:
			if due >= l.run.from && due < l.run.until {
				l.late(l.now - due)
			}
			if c.person != nil {
				c.person.act(due)
			} else {
				c.send(due)
			}
		case l.opts.Mode != Chat: // of people somebody else would have been asked
			l.Unsent++
		}
		l.paced++
		l.due = l.schedule.due(l.paced)
	}
}

// late enters by how much something was sent after it was due, in microseconds.
func (l *shard) late(us int64) {
	_ = l.lateness.RecordValue(min(max(us, 1), l.lateness.HighestTrackableValue()))
}

// next is whose turn it is; nil if that one cannot send. Of people it is the next who can.
func (l *shard) next() *client {
	for range l.senders {
		c := l.senders[l.turn]
		if l.turn++; l.turn == len(l.senders) {
			l.turn = 0
		}
		switch {
		case c.person == nil && c.conn.Closed():
			return nil
		case c.person == nil || c.person.free():
			return c
		}
	}
	return nil
}

func (l *shard) failed(kind string, err error) {
	l.Failures++
	e := l.errors[kind]
	if e == nil {
		e = &ErrorCount{Kind: kind, Example: err.Error()}
		l.errors[kind] = e
	}
	e.Count++
	l.run.opened(err)
}

// changed enters a message that is not as it was sent.
func (l *shard) changed(p []byte) {
	l.audit.Changed++
	l.failed("changed", fmt.Errorf("%q arrived", p[:min(len(p), 64)]))
}

// sample is what a shard, or several, counted so far; the histograms are what came since the last sample.
type sample struct {
	Tally             tally
	Latency, Lateness histogram
	Usage             usage // of the process
}

// tally is what is counted all the time.
type tally struct {
	Sent     uint64
	Unsent   uint64 // were due on connections that were closed
	Messages uint64 // arrived and checked
	Bytes    uint64
	Failures uint64
	Actions  ActionCounts // mode chat
	Open     int          // connections, now
}

// since is what came since t was u.
func (t tally) since(u tally) tally {
	u.Open = 0
	addTo(&t, u, -1)
	return t
}

// usage is what a process took so far, or until it ended.
type usage struct {
	CPU   time.Duration
	RSS   uint64
	Ended bool // of a server
}

// histogram is one that goes from process to process.
type histogram struct{ *hdrhistogram.Histogram }

// GobEncode implements gob.GobEncoder.
func (h histogram) GobEncode() ([]byte, error) {
	return h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
}

// GobDecode implements gob.GobDecoder.
func (h *histogram) GobDecode(b []byte) (err error) {
	h.Histogram, err = hdrhistogram.Decode(b)
	return err
}

func (l *shard) sample() sample {
	s := sample{Tally: l.tally, Latency: histogram{l.latency}, Lateness: histogram{l.lateness}}
	l.latency, l.lateness = newHistogram(), newHistogram()
	return s
}

func (s *sample) add(p sample) {
	addTo(&s.Tally, p.Tally, 1)
	s.Latency.Merge(p.Latency.Histogram)
	s.Lateness.Merge(p.Lateness.Histogram)
	s.Usage.CPU += p.Usage.CPU
	s.Usage.RSS += p.Usage.RSS
}
