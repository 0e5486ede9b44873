package engine

import "time"

// These constants limit the portion of posted functions that runs before the loop does I/O again.
const (
	mailPortion = 4096
	mailTime    = 2 * time.Millisecond // checked after every mailStep functions
	mailStep    = 64
)

// Post runs f on the loop. Functions run in the order of the calls. Any goroutine may call Post. It
// returns ErrMailboxFull and counts the call when MaxMailbox functions are waiting, and ErrStopped
// after Stop. An accepted function runs, also during Stop.
func (l *Loop) Post(f func()) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return ErrStopped
	}
	if len(l.inbox)+l.waiting >= l.engine.cfg.MaxMailbox {
		l.rejects++
		return ErrMailboxFull
	}
	l.inbox = append(l.inbox, f)
	if !l.mailed {
		l.mailed = true
		l.execute()
	}
	return nil
}

// requestRun schedules one run of the loop, for its timers and blocked conns.
func (l *Loop) requestRun() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.runRequested && !l.ended {
		l.runRequested = true
		l.execute()
	}
}

// drainMailbox runs one portion and reports whether more functions are waiting. Until all have run,
// mailed stays true, and wakeSelf schedules the next run after the loop's I/O. A wake-up by gnet
// would run before that I/O as long as functions are posted.
func (l *Loop) drainMailbox() (more bool) {
	l.mu.Lock()
	l.runRequested = false
	if len(l.batch) == 0 {
		l.batch, l.inbox = l.inbox, l.batch
	}
	l.waiting = len(l.batch) - l.batchAt
	mailed := l.mailed
	l.mu.Unlock()
	if !mailed {
		return false
	}
	l.runPortion()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = len(l.batch) - l.batchAt
	l.mailed = l.waiting > 0 || len(l.inbox) > 0
	return l.mailed
}

func (l *Loop) runPortion() {
	end := time.Now().Add(mailTime)
	for n := 0; n < mailPortion && len(l.batch) > 0; n += mailStep {
		l.runBatch(mailStep)
		if time.Now().After(end) {
			return
		}
	}
}

// runBatch runs the next n functions of batch.
func (l *Loop) runBatch(n int) {
	for n = min(n, len(l.batch)-l.batchAt); n > 0; n-- {
		f := l.batch[l.batchAt]
		l.batch[l.batchAt] = nil
		l.batchAt++
		l.call(f)
	}
	if l.batchAt == len(l.batch) {
		l.batch, l.batchAt = l.batch[:0], 0
	}
}

// drainRest runs all functions that were accepted before the end.
func (l *Loop) drainRest() {
	l.runBatch(len(l.batch))
	l.mu.Lock()
	l.batch, l.inbox = l.inbox, nil
	l.mu.Unlock()
	l.runBatch(len(l.batch))
}

func (l *Loop) call(f func()) {
	defer l.recoverPanic("a posted function")
	f()
}
