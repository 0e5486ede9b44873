package engine

import "time"

// A portion is what posted functions get before I/O has its turn again.
const (
	mailPortion = 4096
	mailTime    = 2 * time.Millisecond // looked at every mailStep functions
	mailStep    = 64
)

// Post has f run on the loop, in the order of the Posts. Any goroutine may call
// it. When MaxMailbox functions wait it refuses with ErrMailboxFull and counts
// that; after Stop it returns ErrStopped. What was taken runs, also during Stop.
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

// poke has the loop run once soon, for its timers and blocked conns.
func (l *Loop) poke() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.poked && !l.ended {
		l.poked = true
		l.execute()
	}
}

// drainMailbox runs one portion and tells whether more wait. While they do,
// mailed stays set: the next run comes by kickSelf, after the loop's I/O. A
// wake-up through gnet would run before it, for as long as anybody posts.
func (l *Loop) drainMailbox() (more bool) {
	l.mu.Lock()
	l.poked = false
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

// runBatch runs the next n of batch.
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

// drainRest runs everything that was taken before the end.
func (l *Loop) drainRest() {
	l.runBatch(len(l.batch))
	l.mu.Lock()
	l.batch, l.inbox = l.inbox, nil
	l.mu.Unlock()
	l.runBatch(len(l.batch))
}

func (l *Loop) call(f func()) {
	defer l.caught("a posted function")
	f()
}
