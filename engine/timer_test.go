package engine

import (
	"math"
	"testing"
	"time"
)

type expirer func(*Timer)

func (f expirer) OnTimer(t *Timer) { f(t) }

// Timers fire once, in order and never early.
func TestTimersFireInTime(t *testing.T) {
	t.Parallel()
	const tick = 10 * time.Millisecond
	e := start(t, Config{Loops: 1, Tick: tick})
	l := e.Loops()[0]
	type firing struct {
		after time.Duration
		late  time.Duration
	}
	fired := make(chan firing, 64)
	delays := []time.Duration{0, 1, tick - 1, tick, tick + 1, 3 * tick, 25 * tick, 7 * tick, 7 * tick}
	on(t, l, func() {
		for _, d := range delays {
			begin := time.Now()
			l.Schedule(&Timer{Target: expirer(func(*Timer) {
				fired <- firing{d, time.Since(begin) - d}
			})}, d)
		}
	})
	last := time.Duration(-1)
	for range delays {
		f := receive(t, fired)
		if f.late < 0 {
			t.Errorf("a timer of %v fired %v early", f.after, -f.late)
		}
		if f.after/tick < last/tick {
			t.Errorf("%v fired after %v", f.after, last)
		}
		last = f.after
	}
}

func TestTimerMovesStopsAndRepeats(t *testing.T) {
	t.Parallel()
	e := start(t, Config{Loops: 1, Tick: time.Millisecond})
	l := e.Loops()[0]
	fired := make(chan string, 64)
	name := func(s string) *Timer { return &Timer{Target: expirer(func(*Timer) { fired <- s })} }
	moved, stopped, neighbour, far := name("moved"), name("stopped"), name("neighbour"), name("far")
	n := 0
	again := &Timer{}
	again.Target = expirer(func(t *Timer) {
		if n++; n < 3 {
			l.Schedule(t, time.Millisecond)
		} else {
			fired <- "thrice"
		}
	})
	on(t, l, func() {
		l.Schedule(moved, time.Hour)
		l.Schedule(stopped, 20*time.Millisecond)
		l.Schedule(neighbour, 20*time.Millisecond)
		l.Schedule(far, 30*24*time.Hour)
		l.Schedule(again, 0)
		l.Cancel(stopped)
		l.Cancel(stopped)
		l.Schedule(moved, 60*time.Millisecond)
	})
	at := map[string]int{}
	for i := range 3 {
		at[receive(t, fired)] = i
	}
	if len(at) != 3 || at["moved"] < at["neighbour"] || at["stopped"] > 0 {
		t.Errorf("fired, with their places: %v", at)
	}
	on(t, l, func() {
		if !far.Scheduled() || moved.Scheduled() || stopped.Scheduled() {
			t.Error("Scheduled is wrong")
		}
		l.Cancel(far)
	})
	if s := figures(e)[0]; s.Timers != 0 || s.TimersFired != 5 {
		t.Errorf("stats: %+v", s)
	}
}

// Timers fire at the first tick after they are due. Those further away than the
// wheel is long fire at the right round, and one that a callback stops
// while both are due does not fire.
func TestWheelRounds(t *testing.T) {
	t.Parallel()
	l := &Loop{engine: &Engine{start: time.Now(), cfg: Config{Tick: time.Hour}}}
	l.timers.init(l)
	var fired []int
	var timers [5]Timer
	for i := range timers {
		timers[i].Target = expirer(func(*Timer) {
			fired = append(fired, i)
			if i == 0 {
				l.Cancel(&timers[1])
			}
		})
	}
	hours := func(n int) time.Duration { return time.Duration(n) * time.Hour }
	l.Schedule(&timers[0], hours(5)-time.Minute)
	l.Schedule(&timers[1], hours(6)-time.Minute)
	l.Schedule(&timers[2], hours(5+wheelSlots)-time.Minute)
	l.Schedule(&timers[3], hours(5+3*wheelSlots)-time.Minute)
	l.Schedule(&timers[4], hours(7)-time.Minute)
	steps := []struct {
		hour, fired int
		wake        int64 // then
	}{
		{4, 0, 5}, {6, 1, 7}, {7, 2, 5 + wheelSlots}, {5 + wheelSlots - 1, 2, 5 + wheelSlots},
		{5 + wheelSlots, 3, 5 + 2*wheelSlots}, {5 + 2*wheelSlots, 3, 5 + 3*wheelSlots}, {5 + 9*wheelSlots, 4, never},
	}
	for _, s := range steps {
		l.timers.advance(int64(s.hour))
		if len(fired) != s.fired {
			t.Fatalf("at hour %d fired %v", s.hour, fired)
		}
		if wake := l.wakeAt.Load(); wake != s.wake {
			t.Fatalf("at hour %d the loop is to be woken at %d, not %d", s.hour, wake, s.wake)
		}
	}
	if l.timers.count != 0 {
		t.Errorf("%d timers are left", l.timers.count)
	}
}

// A loop whose timers are not due is not woken by every tick.
func TestALoopSleepsUntilATimerIsDue(t *testing.T) {
	t.Parallel()
	const ticks = 300
	e := start(t, Config{Loops: 1, Tick: time.Millisecond})
	l := e.Loops()[0]
	fired := make(chan struct{})
	before := figures(e)[0].Turns
	on(t, l, func() {
		l.Schedule(&Timer{Target: expirer(func(*Timer) {})}, time.Hour)
		l.Schedule(&Timer{Target: expirer(func(*Timer) { close(fired) })}, ticks*time.Millisecond)
	})
	receive(t, fired)
	if turns := figures(e)[0].Turns - before; turns > ticks/10 {
		t.Errorf("%d turns in %d ticks in which nothing happened", turns, ticks)
	}
}

// The tick of a timer: none is early, and the longest times are as good as never.
func TestDueTick(t *testing.T) {
	t.Parallel()
	const most = time.Duration(math.MaxInt64)
	for _, c := range []struct {
		now, d, tick time.Duration
		want         int64
	}{
		{0, 0, 10, 0}, {0, 1, 10, 1}, {0, 10, 10, 1}, {0, 11, 10, 2}, {5, 5, 10, 1}, {5, 6, 10, 2}, {5, -7, 10, 1},
		{0, most, 1, math.MaxInt64}, {0, most, 10, math.MaxInt64/10 + 1},
		{5, most, 10, math.MaxInt64/10 + 1}, {5, most - 4, 1, math.MaxInt64},
		{most - 1, most, 10, math.MaxInt64/10 + 1}, {most, 1, 1, math.MaxInt64}, {3, most, most, 1}, {3, most - 4, most, 1},
	} {
		if got := dueTick(c.now, c.d, c.tick); got != c.want {
			t.Errorf("%d after %d, in ticks of %d: %d, want %d", c.d, c.now, c.tick, got, c.want)
		}
	}
}

// What is to come never does not come, and keeps nothing else from coming.
func TestTheLongestTimer(t *testing.T) {
	t.Parallel()
	e := start(t, Config{Loops: 1, Tick: 10 * time.Millisecond})
	l := e.Loops()[0]
	fired := make(chan time.Duration, 8)
	var never []*Timer
	on(t, l, func() {
		for _, d := range []time.Duration{math.MaxInt64, math.MaxInt64 - 1, math.MaxInt64 / 2, 50 * time.Millisecond} {
			timer := &Timer{Target: expirer(func(*Timer) { fired <- d })}
			l.Schedule(timer, d)
			never = append(never, timer)
		}
	})
	if got := receive(t, fired); got != 50*time.Millisecond {
		t.Errorf("one of %v fired", got)
	}
	on(t, l, func() {
		for i, timer := range never[:3] {
			if !timer.Scheduled() {
				t.Errorf("timer %d does not wait any more", i)
			}
			l.Cancel(timer)
		}
	})
}
