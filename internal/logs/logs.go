// Package logs keeps a slow log from delaying a server: a goroutine that logs never waits.
package logs

import (
	"bytes"
	"io"
	"log/slog"
	"sync"
	"time"
)

const (
	// maxQueued bounds the lines that wait to be written, in bytes, with lineCost for each line.
	maxQueued = 1 << 20
	lineCost  = 64
	// retryEvery is how often a report of lost lines is tried again while nothing is logged.
	retryEvery = time.Second
)

// Writer passes lines on to another writer, one Write each, from a goroutine of its own. A line is
// lost when 1 MiB is waiting, or when its Write fails. A line of the Writer's own reports the
// number of lost lines as soon as one can be written again. It is safe for concurrent use.
type Writer struct {
	// Static after New.
	to   io.Writer
	wake chan struct{} // has a value when there may be something to write
	done chan struct{} // closed when all is written after Close

	mu     sync.Mutex
	queue  []line // guarded by mu: oldest first; bound: lines of the program's log
	queued int    // guarded by mu: what the queue counts for
	lost   int    // guarded by mu: lines lost since the last one of the queue
	closed bool   // guarded by mu

	// Owned by run.
	due  int  // lines lost before the one that is to be written, not yet reported
	torn bool // the last line was written in part
}

// line is one line, and the number of lines lost before it.
type line struct {
	text []byte // bound: lines of the program's log
	lost int
}

// New returns a Writer to w. Its goroutine ends after Close, when the last Write has returned.
func New(w io.Writer) *Writer {
	q := &Writer{to: w, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go q.run()
	return q
}

// Write queues a line, or counts it as lost. It neither blocks nor fails.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	switch cost := len(p) + lineCost; {
	case w.closed:
		w.mu.Unlock()
		return len(p), nil
	case w.queued+cost > maxQueued:
		w.lost++
	default:
		w.push(bytes.Clone(p))
	}
	w.mu.Unlock()
	w.signal()
	return len(p), nil
}

// push queues a line. The caller holds mu.
func (w *Writer) push(text []byte) {
	w.queue = append(w.queue, line{text, w.lost})
	w.queued += len(text) + lineCost
	w.lost = 0
}

// Close queues a last line, unless it is empty; there is always room for it. It waits until all
// lines have been written, but no longer than the given time. Lines that remain then are lost.
func (w *Writer) Close(last string, within time.Duration) {
	w.mu.Lock()
	if last != "" && !w.closed {
		w.push([]byte(last))
	}
	w.closed = true
	w.mu.Unlock()
	w.signal()
	late := time.NewTimer(within)
	defer late.Stop()
	select {
	case <-w.done:
	case <-late.C:
	}
}

func (w *Writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run is the goroutine that writes.
func (w *Writer) run() {
	defer close(w.done)
	retry := time.NewTicker(retryEvery)
	defer retry.Stop()
	for {
		var again <-chan time.Time
		if w.due > 0 {
			again = retry.C
		}
		select {
		case <-w.wake:
		case <-again:
			w.pass(line{})
		}
		for l, more := w.next(); more; l, more = w.next() {
			w.pass(l)
		}
		w.mu.Lock()
		over := w.closed && len(w.queue) == 0
		w.mu.Unlock()
		if over {
			return
		}
	}
}

// next takes the oldest line from the queue. When the queue is empty and lines were lost, it
// returns an empty line, once.
func (w *Writer) next() (line, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		w.queue = nil // frees the memory of a long queue
		l := line{lost: w.lost}
		w.lost = 0
		return l, l.lost > 0
	}
	l := w.queue[0]
	w.queue[0].text = nil
	w.queue = w.queue[1:]
	w.queued -= len(l.text) + lineCost
	return l, true
}

// pass writes a line, after a report of the lines that were lost before it.
func (w *Writer) pass(l line) {
	if w.due += l.lost; w.due > 0 && w.write(report(w.due)) {
		w.due = 0
	}
	if len(l.text) > 0 && !w.write(l.text) {
		w.due++
	}
}

// write writes a line, and reports whether it succeeded. It first ends a line that was written in
// part before.
func (w *Writer) write(text []byte) bool {
	if w.torn {
		text = append([]byte{'\n'}, text...)
	}
	n, err := w.to.Write(text)
	w.torn = w.torn && n == 0 || n > 0 && n < len(text) && text[n-1] != '\n'
	return err == nil
}

// report returns the line that gives the number of lost lines.
func report(n int) []byte {
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).Warn("log lines lost", "count", n)
	return b.Bytes()
}
