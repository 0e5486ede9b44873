package gateway

import (
	"time"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/narrow"
)

// asking asks the directory which gateways hold the sets of a loop's messages. With many gateways a
// unit waits for the answer, because until then its messages cost a frame for each gateway. It is
// parked like one that joins, so what the client sends stays in order. The loop owns it.
type asking struct {
	narrowing *narrowing
	names     [][]byte     // scratch; bound: none, of one command
	asked     uint64       // sets that the directory was asked for
	answered  uint64       // of them that it has answered, in the same order
	waiting   []waiting    // oldest first; bound: messages that wait for the holders
	timer     engine.Timer // runs while somebody waits
	// late: an answer took longer than narrow.LookupTime. Nobody waits until the next one has come.
	late     bool
	timeouts uint64
}

// waiting is a stream of parked units that waits for answers.
type waiting struct {
	number uint64 // of the stream
	until  uint64 // value of answered
	since  time.Time
}

// maxWaiting is the size of what is parked on a loop, in bytes, from which on no unit waits for
// answers.
const maxWaiting = maxParked / 2

// setsOf reads the groups or uids that a command is for into a.names. It reports false if it is not
// for such.
func (a *asking) setsOf(f *link.Frame) (kind byte, ok bool) {
	a.names = a.names[:0]
	switch {
	case f.Type == link.Dissolve:
		a.names = append(a.names, f.Payload)
		return link.SetGroup, true
	case f.Type != link.Publish:
		return 0, false
	case f.Code == link.TargetGroups:
		kind = link.SetGroup
	case f.Code == link.TargetUIDs:
		kind = link.SetUID
	default:
		return 0, false
	}
	c := link.Read(f.Payload)
	for range c.U16() {
		a.names = append(a.names, c.Bytes())
	}
	return kind, true
}

// unit reports whether a unit has to wait for answers: they may spare its messages gateways. It
// asks for what is not known.
func (a *asking) unit(f *link.Frame) (waits bool) {
	x := a.narrowing
	if f.Type != link.Unit || len(x.loop.peers) <= narrow.LookupGateways || a.late || x.parking.bytes > maxWaiting {
		return false
	}
	var inner link.Frame
	for in := f.Payload; len(in) > 0; {
		n, _ := link.Next(in, link.MaxFrame, &inner) // the caller has checked them
		in = in[n:]
		if !inner.Has(link.FlagFar) {
			continue
		}
		if kind, ok := a.setsOf(&inner); ok && x.sender.Asks(x.now(), kind, a.names) {
			waits = true
		}
	}
	a.ask()
	return waits
}

// ask passes on what the loop's sender wants to know.
func (a *asking) ask() {
	x := a.narrowing
	if !x.sender.Wants() {
		return
	}
	sets := x.sender.TakeWanted(x.now())
	a.asked += uint64(len(sets))
	x.interest.ask(lookup{loop: x.loop.index, reader: x.reader(), sets: sets, done: located})
}

// located passes the directory's answer to the loop that has asked.
func located(l *loop, found *lookup) {
	x, now := l.narrow, l.narrow.now()
	for i, set := range found.sets {
		x.sender.Located(now, set, found.found[i], found.token)
	}
	a := &x.asking
	a.answered += uint64(len(found.sets))
	if found.token != 0 {
		a.late = false
	}
	a.resume(func(w waiting) bool { return w.until <= a.answered })
}

// wait has a stream wait for all that was asked for.
func (a *asking) wait(p *parked) {
	if len(a.waiting) == 0 {
		a.narrowing.loop.el.Schedule(&a.timer, narrow.LookupTime)
	}
	a.waiting = append(a.waiting, waiting{p.number, a.asked, a.narrowing.loop.el.Now()})
}

// resume goes on with the oldest streams for which over reports true.
func (a *asking) resume(over func(waiting) bool) {
	for len(a.waiting) > 0 && over(a.waiting[0]) {
		number := a.waiting[0].number
		if a.waiting = a.waiting[1:]; len(a.waiting) == 0 {
			a.waiting = nil
			a.narrowing.loop.el.Cancel(&a.timer)
		}
		a.narrowing.proceed(a.narrowing.parking.of[number])
	}
}

// OnTimer implements engine.TimerHandler. What has waited for too long goes to all gateways.
func (a *asking) OnTimer(*engine.Timer) {
	el := a.narrowing.loop.el
	a.resume(func(w waiting) bool {
		if el.Now().Sub(w.since) < narrow.LookupTime {
			return false
		}
		a.late = true
		a.timeouts++
		return true
	})
	if len(a.waiting) > 0 {
		el.Schedule(&a.timer, narrow.LookupTime-el.Now().Sub(a.waiting[0].since))
	}
}
