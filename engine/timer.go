package engine

import (
	"math"
	"time"
)

const (
	wheelSlots   = 1024
	timerPortion = 4096 // timers fired before I/O has its turn again
)

// TimerHandler is told when a Timer runs out, on the timer's loop.
type TimerHandler interface{ OnTimer(t *Timer) }

// Timer is a place in a loop's wheel, to be embedded in what it times. Owned by
// the loop it was scheduled on.
type Timer struct {
	Target TimerHandler // who is told; set before Schedule

	next *Timer
	back **Timer // what points here; nil: not scheduled
	due  int64   // the tick it fires at
}

// Schedule has t fire once d has passed: never early, late by a tick at most
// while the loop keeps up. The longest Duration is as good as never. A scheduled
// timer is moved. Loop only.
func (l *Loop) Schedule(t *Timer, d time.Duration) {
	l.Cancel(t)
	w := &l.timers
	t.due = max(dueTick(time.Since(l.engine.start), d, l.engine.cfg.Tick), w.now+1)
	t.link(&w.slots[t.due%wheelSlots])
	w.count++
	if t.due < w.first {
		w.expect(t.due)
	}
}

// dueTick is the first tick that is d or more after now.
func dueTick(now, d, tick time.Duration) int64 {
	after := now + min(max(d, 0), math.MaxInt64-now)
	due := int64(after / tick)
	if after%tick > 0 {
		due++
	}
	return due
}

// Cancel takes t, which is l's, out of the wheel. It is harmless on one that is
// not in. Loop only.
func (l *Loop) Cancel(t *Timer) {
	if t.back != nil {
		t.unlink()
		l.timers.count--
	}
}

// Scheduled tells whether t is to fire.
func (t *Timer) Scheduled() bool { return t.back != nil }

func (t *Timer) link(head **Timer) {
	t.next, t.back = *head, head
	if t.next != nil {
		t.next.back = &t.next
	}
	*head = t
}

func (t *Timer) unlink() {
	*t.back = t.next
	if t.next != nil {
		t.next.back = t.back
	}
	t.next, t.back = nil, nil
}

// wheel keeps timers by the tick they fire at, modulo its size. A timer further
// away than one round is looked at once a round; at the usual tick that is once
// in 100 s, which costs less than a second wheel would.
type wheel struct {
	loop  *Loop
	slots []*Timer // allocated in init: Timers point into it
	fired *Timer   // due and not told yet
	now   int64    // the last tick that was looked at
	first int64    // none is due before this tick; mirror of loop.wakeAt
	count int
}

func (w *wheel) init(l *Loop) {
	w.loop = l
	w.slots = make([]*Timer, wheelSlots)
	w.expect(never)
}

// never is a tick that does not come.
const never = math.MaxInt64

// expect has the pacemaker wake the loop at that tick.
func (w *wheel) expect(tick int64) {
	w.first = tick
	w.loop.wakeAt.Store(tick)
}

// expectNext has it wake the loop at the next tick of which there is a timer, in
// this round or a later one.
func (w *wheel) expectNext() {
	for tick := w.now + 1; tick <= w.now+wheelSlots; tick++ {
		if w.slots[tick%wheelSlots] != nil {
			w.expect(tick)
			return
		}
	}
	w.expect(never)
}

// advance fires what is due at tick now and tells whether some of it must wait
// for the next portion.
func (w *wheel) advance(now int64) (more bool) {
	if w.count == 0 {
		w.now = max(w.now, now)
		if w.first != never {
			w.expect(never)
		}
		return false
	}
	if now >= w.first && w.fired == nil {
		w.collect(max(w.now+1, now-wheelSlots+1), now)
		w.now = now
		w.expectNext()
	}
	for n := 0; w.fired != nil; n++ {
		if n == timerPortion {
			return true
		}
		t := w.fired
		w.loop.Cancel(t)
		w.call(t)
	}
	return false
}

// collect moves what is due from the slots of ticks first to last into fired.
func (w *wheel) collect(first, last int64) {
	for tick := last; tick >= first; tick-- { // so that fired is in order
		for t := w.slots[tick%wheelSlots]; t != nil; {
			next := t.next
			if t.due <= last {
				t.unlink()
				t.link(&w.fired)
			}
			t = next
		}
	}
}

func (w *wheel) call(t *Timer) {
	defer w.loop.caught("a timer")
	w.loop.counters.TimersFired++
	t.Target.OnTimer(t)
}
