package bench

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/seed-7410fe32/sluice/engine"
)

// A shard is the part of a generator that runs on one event loop: its clients and their
// counters. The loop owns all of it.
type shard struct {
	// Static after newShard.
	run     *generator
	loop    *engine.Loop
	opts    *Options
	layout  layout
	text    bool   // messages are sent as text
	typed   bool   // the codec tells text from binary, and messages must come back as they were sent
	verb    byte   // of a message
	message []byte // the next one; only verb, target and stamp change
	packet  []byte // message with its envelope
	scratch []byte // packet, if its envelope changes
	command []byte // the next command

	// Owned by the loop.
	now      int64     // microseconds since the start of the run, as of this callback
	running  bool      // messages may be sent
	clients  []*client // with an open account: all, or of short-lived connections those that are open
	senders  []*client // in the order of their turns, for the open loop
	turn     int
	due      float64  // open loop: when the next message is due
	paced    int      // open loop: messages that were due
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
	sh := &shard{
		run: g, loop: loop, opts: o, layout: layoutOf(o.Mode, o.inner(), o.Size),
		text: o.Codec.isText() || o.Envelope != nil, typed: o.Codec == WebSocket, verb: verbs[o.Mode],
		rand:   rand.New(rand.NewPCG(uint64(loop.Index()), 0)), // the same in each run
		errors: make(map[string]*ErrorCount), latency: newHistogram(), lateness: newHistogram(),
	}
	sh.message, sh.command = sh.layout.template(), sh.layout.template()
	sh.packet = sh.message
	if o.Envelope != nil {
		sh.packet, sh.message = o.Envelope.Out.around(sh.message)
	}
	return sh
}

// verbs are those of messages, by mode.
var verbs = map[Mode]byte{Push: verbPush, Rooms: verbRoom, Broadcast: verbBroadcast}

func (sh *shard) tick() { sh.now = time.Since(sh.run.began).Microseconds() }

// fill sends the first messages of a client, in a closed loop or on a short-lived connection. A
// user of mode chat thinks first.
func (sh *shard) fill(c *client) {
	if c.user != nil {
		c.user.think()
		return
	}
	if sh.opts.Rate > 0 && c.life == 0 {
		return
	}
	n := sh.opts.InFlight
	if c.life > 0 {
		n = min(n, c.life)
	}
	sh.tick() // the sends of other clients took time
	for range n {
		c.send(sh.now)
	}
}

// arrived counts a message that c had not received before, and in a closed loop sends the next one.
// A message that is not whole counts only in the audit.
func (sh *shard) arrived(c *client, s stamp, whole bool) {
	if whole && sh.opts.Mode != Connect {
		sh.count(s.since(sh.now))
	}
	switch {
	case c.ahead > 0:
		c.ahead-- // an unreadable message was taken for this one, and the next is sent
	case sh.opts.Mode == Push || s.stream == c.id:
		sh.follow(c, whole)
	}
}

// follow handles an answer: it sends the next message, or ends a short life.
func (sh *shard) follow(c *client, whole bool) {
	c.inFlight--
	switch {
	case c.life > 0:
		sh.shorten(c, whole)
	case sh.opts.Rate == 0 && sh.running:
		c.send(sh.now)
	}
}

// intact reports whether a message with a readable stamp is otherwise as it was sent.
func (sh *shard) intact(p []byte, verb byte, target *[targetLen]byte) bool {
	o := &sh.layout
	return (o.quote == 0 || p[0] == '"') && (!o.verb() || p[o.quote] == verb) &&
		(o.target == 0 || [targetLen]byte(p[o.target:]) == *target) &&
		bytes.Equal(p[o.stamp+stampLen:], sh.message[o.stamp+stampLen:])
}

// count enters one message, or connection, that began at the time given.
func (sh *shard) count(begun int64) {
	sh.Messages++
	sh.Bytes += uint64(sh.layout.size)
	if begun >= sh.run.from && begun < sh.run.until {
		_ = sh.latency.RecordValue(min(max(sh.now-begun, 1), sh.latency.HighestTrackableValue()))
	}
}

// shorten takes a message off the life of a client. The last one ends it.
func (sh *shard) shorten(c *client, whole bool) {
	c.life--
	switch {
	case c.life == 0:
		if whole && sh.opts.Mode == Connect {
			sh.count(c.dialled)
		}
		c.over = true
	case int32(c.life) > c.inFlight:
		c.send(sh.now)
	}
}

// replace closes the account of a short-lived client and dials the next one.
func (sh *shard) replace(c *client) {
	last := sh.clients[len(sh.clients)-1]
	sh.clients[c.slot], last.slot = last, c.slot
	sh.clients = sh.clients[:len(sh.clients)-1]
	c.close(nil, &sh.audit)
	if sh.running {
		sh.run.redial(sh.run.newClient(c.id))
	}
}

// burst bounds the messages of an open loop that are sent in one callback, so that a
// shard that is behind still reads.
const burst = 256

func (sh *shard) pace() {
	sh.tick()
	for range burst {
		if !sh.running || sh.due > float64(sh.now) || len(sh.senders) == 0 {
			return
		}
		due := int64(sh.due)
		switch c := sh.next(); {
		case c != nil:
			if due >= sh.run.from && due < sh.run.until {
				sh.late(sh.now - due)
			}
			if c.user != nil {
				c.user.act(due)
			} else {
				c.send(due)
			}
		case sh.opts.Mode != Chat: // another user will do it
			sh.Unsent++
		}
		sh.paced++
		sh.due = sh.schedule.due(sh.paced)
	}
}

func (sh *shard) late(us int64) {
	_ = sh.lateness.RecordValue(min(max(us, 1), sh.lateness.HighestTrackableValue()))
}

// next returns the sender whose turn it is; nil if its connection is closed. In mode chat it
// returns the next user who is free.
func (sh *shard) next() *client {
	for range sh.senders {
		c := sh.senders[sh.turn]
		if sh.turn++; sh.turn == len(sh.senders) {
			sh.turn = 0
		}
		switch {
		case c.user == nil && c.conn.Closed():
			return nil
		case c.user == nil || c.user.free():
			return c
		}
	}
	return nil
}

func (sh *shard) failed(kind string, err error) {
	sh.Failures++
	e := sh.errors[kind]
	if e == nil {
		e = &ErrorCount{Kind: kind, Example: err.Error()}
		sh.errors[kind] = e
	}
	e.Count++
	sh.run.opened(err)
}

func (sh *shard) changed(p []byte) {
	sh.audit.Changed++
	sh.failed("changed", fmt.Errorf("%q arrived", p[:min(len(p), 64)]))
}

// sample is the counters of a shard, or of several. The histograms
// cover the time since the last sample.
type sample struct {
	Tally             tally
	Latency, Lateness histogram
	Usage             usage // of the process
}

type tally struct {
	Sent     uint64
	Unsent   uint64 // due on a connection that was closed
	Messages uint64 // received and checked
	Bytes    uint64
	Failures uint64
	Actions  ActionCounts // mode chat
	Open     int          // connections, now
}

func (t tally) since(u tally) tally {
	u.Open = 0
	addTo(&t, u, -1)
	return t
}

// usage is what a process used up to now, or to its end.
type usage struct {
	CPU   time.Duration
	RSS   uint64
	Ended bool // of a server
}

// histogram is a histogram that can be sent to another process.
type histogram struct{ h *hdrhistogram.Histogram }

// GobEncode implements gob.GobEncoder.
func (h histogram) GobEncode() ([]byte, error) {
	return h.h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
}

// GobDecode implements gob.GobDecoder.
func (h *histogram) GobDecode(b []byte) (err error) {
	h.h, err = hdrhistogram.Decode(b)
	return err
}

func (sh *shard) sample() sample {
	s := sample{Tally: sh.tally, Latency: histogram{sh.latency}, Lateness: histogram{sh.lateness}}
	sh.latency, sh.lateness = newHistogram(), newHistogram()
	return s
}

func (s *sample) add(p sample) {
	addTo(&s.Tally, p.Tally, 1)
	s.Latency.h.Merge(p.Latency.h)
	s.Lateness.h.Merge(p.Lateness.h)
	s.Usage.CPU += p.Usage.CPU
	s.Usage.RSS += p.Usage.RSS
}
