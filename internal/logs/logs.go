// Package logs keeps a server's log from holding up the server: whoever logs never waits.
package logs

import (
	"bytes"
	"io"
	"log/slog"
	"sync"
	"time"
)

const (
	// maxQueued bounds what waits to be written, in bytes, with lineCost for each line.
	maxQueued = 1 << 20
	lineCost  = 64
	// retryEvery is how often a report of lost lines is tried again while nobody logs.
	retryEvery = time.Second
)

// Writer passes lines on to another writer, one Write each, from a goroutine of its own. Lines
// that find 1 MiB waiting are lost, and so are those whose Write fails; how many is said by a line
// of its own as soon as one can be written again. Any goroutine may call its methods.
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

// line is one line, and how many were lost between the one before it and itself.
type line struct {
	text []byte // bound: lines of the program's log
	lost int
}

// New returns a Writer to w. Its goroutine ends after Close, once w has returned.
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

// push queues a line. Called with mu.
func (w *Writer) push(text []byte) {
	w.queue = append(w.queue, line{text, w.lost})
	w.queued += len(text) + lineCost
	w.lost = 0
}

// Close queues a last line, for which there is room always, unless it is empty. It waits until all
// has been written, but for no longer than the time given: what is left then is lost.
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

// next takes the oldest line from the queue. Where there is none and lines were lost it is an empty
// one, once.
func (w *Writer) next() (line, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		w.queue = nil // what a flood took is given back
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

// pass writes a line, behind a report of those that were lost before it.
func (w *Writer) pass(l line) {
	if w.due += l.lost; w.due > 0 && w.write(report(w.due)) {
		w.due = 0
	}
	if len(l.text) > 0 && !w.write(l.text) {
		w.due++
	}
}

// write writes a line, and reports whether it is out. One that was cut off before gets its end first.
func (w *Writer) write(text []byte) bool {
	if w.torn {
		text = append([]byte{'\n'}, text...)
	}
	n, err := w.to.Write(text)
	w.torn = w.torn && n == 0 || n > 0 && n < len(text) && text[n-1] != '\n'
	return err == nil
}

// report is the line that says how many were lost.
func report(n int) []byte {
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).Warn("log lines lost", "count", n)
	return b.Bytes()
}
