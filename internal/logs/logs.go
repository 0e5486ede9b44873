// Package logs decouples a server from its log: a goroutine that logs never waits for the output.
package logs

import (
	"bytes"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxQueued is the most bytes that may be queued. Each line counts lineCost bytes more.
	maxQueued = 1 << 20
	lineCost  = 64
	// retryEvery is how often a failed report of lost lines is retried.
	retryEvery = time.Second
)

// Writer forwards lines to another writer, with one Write each, from its own goroutine. A line is
// lost if 1 MiB is already queued, or if its Write fails. A line with the number of lost lines
// follows as soon as one can be written again. Any goroutine may call its methods.
type Writer struct {
	// Static after New.
	to   io.Writer
	wake chan struct{} // has a value when there may be something to write
	done chan struct{} // closed after Close, when everything was written

	json atomic.Bool // the report of lost lines is JSON

	mu     sync.Mutex
	queue  []line // guarded by mu: oldest first; bound: lines of the program's log
	queued int    // guarded by mu: size of the queue, with lineCost per line
	lost   int    // guarded by mu: lines lost after the last line of the queue
	closed bool   // guarded by mu

	// Owned by run.
	unreported int  // lines lost before the line that is written next, not reported yet
	partial    bool // only a part of the last line was written
}

// line is one line, and the number of lines that were lost directly before it.
type line struct {
	text []byte // bound: lines of the program's log
	lost int
}

// New returns a Writer that writes to w. Its goroutine ends after Close, when the current Write of
// w has returned.
func New(w io.Writer) *Writer {
	q := &Writer{to: w, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go q.run()
	return q
}

// Write queues a line, or counts it as lost. It does not block and does not fail.
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

// push queues a line. mu must be held.
func (w *Writer) push(text []byte) {
	w.queue = append(w.queue, line{text, w.lost})
	w.queued += len(text) + lineCost
	w.lost = 0
}

// Close queues a last line even if the queue is full, unless it is empty. It waits until everything
// was written, at most for the given time. Lines that are left then are lost.
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

// run is the writing goroutine.
func (w *Writer) run() {
	defer close(w.done)
	retry := time.NewTicker(retryEvery)
	defer retry.Stop()
	for {
		var again <-chan time.Time
		if w.unreported > 0 {
			again = retry.C
		}
		select {
		case <-w.wake:
		case <-again:
			w.writeLine(line{})
		}
		for l, more := w.next(); more; l, more = w.next() {
			w.writeLine(l)
		}
		w.mu.Lock()
		over := w.closed && len(w.queue) == 0
		w.mu.Unlock()
		if over {
			return
		}
	}
}

// next removes the oldest line from the queue. If the queue is empty and lines were lost, it
// returns an empty line, once.
func (w *Writer) next() (line, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		w.queue = nil // releases the memory of a burst
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

// writeLine writes a line, preceded by a report of the lines that were lost before it.
func (w *Writer) writeLine(l line) {
	if w.unreported += l.lost; w.unreported > 0 && w.write(w.report(w.unreported)) {
		w.unreported = 0
	}
	if len(l.text) > 0 && !w.write(l.text) {
		w.unreported++
	}
}

// write writes a line and reports whether that succeeded. If the line before was written in part,
// it ends that line first.
func (w *Writer) write(text []byte) bool {
	if w.partial {
		text = append([]byte{'\n'}, text...)
	}
	n, err := w.to.Write(text)
	w.partial = w.partial && n == 0 || n > 0 && n < len(text) && text[n-1] != '\n'
	return err == nil
}

// report returns the line with the number of lost lines.
func (w *Writer) report(n int) []byte {
	var b bytes.Buffer
	h := NewHandler(&b)
	h.SetJSON(w.json.Load())
	slog.New(h).Warn("log lines lost", "count", n)
	return b.Bytes()
}
