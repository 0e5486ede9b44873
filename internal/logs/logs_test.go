package logs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// reader receives the lines. It accepts as much as the test allows.
type reader struct {
	writing chan struct{} // receives a value when a Write has begun; nil: no one waits for that
	let     chan error    // the result of each Write; nil: no error, at once

	mu    sync.Mutex
	short int // guarded by mu: bytes that the next Write accepts before it fails
	got   bytes.Buffer
}

func (r *reader) Write(p []byte) (int, error) {
	if r.writing != nil {
		r.writing <- struct{}{}
	}
	var err error
	if r.let != nil {
		err = <-r.let
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		p, r.short = p[:r.short], 0
	}
	r.got.Write(p)
	return len(p), err
}

// lines returns the received lines without their padding, and each report of lost lines as its
// count.
func (r *reader) lines() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for l := range strings.Lines(r.got.String()) {
		if _, n, ok := strings.Cut(l, `level=WARN msg="log lines lost" count=`); ok {
			l = "lost " + n
		}
		all = append(all, strings.TrimRight(l, "x\n"))
	}
	return strings.Join(all, " ")
}

const patience = 20 * time.Second

func say(t *testing.T, w io.Writer, text string) {
	t.Helper()
	if n, err := io.WriteString(w, text); n != len(text) || err != nil {
		t.Errorf("Write: %d, %v", n, err)
	}
}

// Lines arrive whole and in order, the last one at the end.
func TestLines(t *testing.T) {
	t.Parallel()
	var r reader
	w := New(&r)
	log := slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key != slog.MessageKey {
			return slog.Attr{}
		}
		return a
	}}))
	var want []string
	for i := range 1000 {
		log.Info(fmt.Sprint(i))
		want = append(want, fmt.Sprintf("msg=%d", i))
	}
	w.Close("the last\n", patience)
	if got := r.lines(); got != strings.Join(append(want, "the last"), " ") {
		t.Errorf("%s", got)
	}
	say(t, w, "too late\n")
	w.Close("", patience) // a second call has no effect
}

// No one waits for a reader that does not read. Lines that do not fit are counted where they are
// missing, and the last line always fits.
func TestOverflow(t *testing.T) {
	t.Parallel()
	r := reader{writing: make(chan struct{}, 10), let: make(chan error, 10)}
	w := New(&r)
	say(t, w, "first\n")
	<-r.writing // the Write of the first line has begun
	half := strings.Repeat("x", maxQueued/2-lineCost-1) + "\n"
	say(t, w, "A"+half[1:])
	say(t, w, "B"+half[1:])
	say(t, w, "no room\n")
	say(t, w, "nor here\n")
	r.let <- nil // first
	<-r.writing
	r.let <- nil // A
	<-r.writing  // B, so there is room for one
	say(t, w, "C\n")
	say(t, w, strings.Repeat("D", maxQueued))
	close(r.let)
	w.Close("last\n", patience)
	if got := r.lines(); got != "first A B lost 2 C lost 1 last" {
		t.Errorf("%q", got)
	}
}

// The limit counts empty lines too.
func TestManySmallLines(t *testing.T) {
	t.Parallel()
	r := reader{writing: make(chan struct{}, 10), let: make(chan error)}
	w := New(&r)
	say(t, w, "first\n")
	<-r.writing
	for range maxQueued {
		say(t, w, "")
	}
	w.mu.Lock()
	n, lost := len(w.queue), w.lost
	w.mu.Unlock()
	if most := maxQueued / lineCost; n != most || lost != maxQueued-most {
		t.Errorf("%d lines wait, %d were lost", n, lost)
	}
	close(r.let)
	w.Close("", patience)
}

// Lines whose Write fails are lost and counted. A line that was written in part is ended before the
// next one.
func TestErrors(t *testing.T) {
	t.Parallel()
	full := errors.New("no space")
	r := reader{let: make(chan error, 10), short: 3}
	w := New(&r)
	say(t, w, "abcdef\n") // 3 bytes of it are written
	say(t, w, "b\n")
	say(t, w, "c\n")
	for _, err := range []error{full, full, full, nil, nil, nil} { // abcdef; a report and b; then all succeed
		r.let <- err
	}
	w.Close("last\n", patience)
	if got := r.lines(); got != "abc lost 2 c last" {
		t.Errorf("%q", got)
	}
}

// Lost lines are reported even if nothing is logged any more.
func TestReportWithoutALine(t *testing.T) {
	t.Parallel()
	r := reader{let: make(chan error, 10)}
	w := New(&r)
	r.let <- errors.New("no space")
	say(t, w, "lost\n")
	close(r.let)
	for deadline := time.Now().Add(patience); r.lines() != "lost 1"; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%q", r.lines())
		}
	}
	w.Close("", patience)
}

// Close does not wait longer than its limit for a reader that does not read.
func TestCloseHasAnEnd(t *testing.T) {
	t.Parallel()
	r := reader{let: make(chan error)}
	w := New(&r)
	w.Close("last\n", time.Millisecond)
	if got := r.lines(); got != "" {
		t.Errorf("%q", got)
	}
	close(r.let)
	<-w.done
}

// Each line of any number of goroutines is written or counted.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	var r reader
	w := New(&r)
	const writers, each = 8, 5000
	var all sync.WaitGroup
	for range writers {
		all.Go(func() {
			for range each {
				say(t, w, "some line of a usual length, as a server has them: some line of a usual length\n")
			}
		})
	}
	all.Wait()
	w.Close("", patience)
	out, lost := 0, 0
	for l := range strings.Lines(r.got.String()) {
		var n int
		if _, count, ok := strings.Cut(l, "count="); ok {
			if _, err := fmt.Sscan(count, &n); err != nil {
				t.Fatal(err)
			}
			lost += n
		} else {
			out++
		}
	}
	if out+lost != writers*each {
		t.Errorf("%d are out, %d were counted as lost, of %d", out, lost, writers*each)
	}
}
