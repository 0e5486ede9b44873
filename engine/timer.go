package engine

import (
	"math"
	"time"
)

const (
	wheelSlots   = 1024
	timerPortion = 4096 // timers that fire before the loop does I/O again
)

// TimerHandler receives the expiry of a Timer, on the timer's loop.
type TimerHandler interface{ OnTimer(t *Timer) }

// Timer is an entry in a loop's timer wheel. It is embedded in the object that it times. Owned by
// the loop that it was scheduled on.
type Timer struct {
	Target TimerHandler // receives OnTimer; set it before Schedule

	next *Timer
	back **Timer // the pointer that points to this timer; nil: not scheduled
	due  int64   // the tick at which it fires
}

// Schedule makes t fire after d. It never fires early, and at most one tick late unless the loop is
// busy for longer. The longest Duration in effect means never. If t is already scheduled, it is
// moved. Loop only.
func (l *Loop) Schedule(t *Timer, d time.Duration) {
	l.Cancel(t)
	w := &l.timers
	t.due = max(dueTick(time.Since(l.engine.start), d, l.engine.cfg.Tick), w.now+1)
	t.link(&w.slots[t.due%wheelSlots])
	w.count++
	if t.due < w.first {
		w.setWake(t.due)
	}
}

// dueTick returns the first tick that is at least d after now.
func dueTick(now, d, tick time.Duration) int64 {
	after := now + min(max(d, 0), math.MaxInt64-now)
	due := int64(after / tick)
	if after%tick > 0 {
		due++
	}
	return due
}

// Cancel removes t, which must be l's, from the wheel. It has no effect if t is not scheduled. Loop
// only.
func (l *Loop) Cancel(t *Timer) {
	if t.back != nil {
		t.unlink()
		l.timers.count--
	}
}

// Scheduled reports whether t is scheduled.
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

// wheel stores timers by the tick at which they fire, modulo its size. A timer that is more than
// one round away is looked at once per round. With the default tick that is once in 100 s, which
// costs less than a second wheel would.
type wheel struct {
	loop  *Loop
	slots []*Timer // allocated in init: Timers point into it
	fired *Timer   // due and not called yet
	now   int64    // the last tick that was processed
	first int64    // no timer is due before this tick; copy of loop.wakeAt
	count int
}

func (w *wheel) init(l *Loop) {
	w.loop = l
	w.slots = make([]*Timer, wheelSlots)
	w.setWake(never)
}

// never is a tick that is never reached.
const never = math.MaxInt64

// setWake makes the ticker goroutine wake the loop at that tick.
func (w *wheel) setWake(tick int64) {
	w.first = tick
	w.loop.wakeAt.Store(tick)
}

// setNextWake makes the ticker goroutine wake the loop at the next tick that has a timer, in this
// round or a later one.
func (w *wheel) setNextWake() {
	for tick := w.now + 1; tick <= w.now+wheelSlots; tick++ {
		if w.slots[tick%wheelSlots] != nil {
			w.setWake(tick)
			return
		}
	}
	w.setWake(never)
}

// advance calls the timers that are due at tick now. It reports whether some must wait for the next
// portion.
func (w *wheel) advance(now int64) (more bool) {
	if w.count == 0 {
		w.now = max(w.now, now)
		if w.first != never {
			w.setWake(never)
		}
		return false
	}
	if now >= w.first && w.fired == nil {
		w.collect(max(w.now+1, now-wheelSlots+1), now)
		w.now = now
		w.setNextWake()
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

// collect moves the due timers from the slots of ticks first to last to fired.
func (w *wheel) collect(first, last int64) {
	for tick := last; tick >= first; tick-- { // backwards, so that fired is in order
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
	defer w.loop.recoverPanic("a timer")
	w.loop.counters.TimersFired++
	t.Target.OnTimer(t)
}
