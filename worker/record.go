package worker

import (
	"errors"
	"math"
	"slices"
	"time"

	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/record"
	"github.com/seed-7410fe32/sluice/internal/stats"
)

// What calls are counted as.
const (
	calledByKind       = record.None               // as the kind of its event: it has no name
	calledAuthenticate = record.ID(itemTimer) + 3  // as Authenticate
	calledNothing      = record.ID(math.MaxUint16) // no handler was called
)

// called returns what a call of the kind is counted as if it has no other name.
func (k itemKind) called() record.ID { return record.ID(k) + 2 }

// newRecorder returns the counters of a worker's calls, with the IDs above.
func newRecorder(module string) *record.Recorder {
	var names []string
	for kind := itemMessage; kind <= itemTimer; kind++ {
		names = append(names, kind.String())
	}
	return record.New(module, append(names, "authenticate")...)
}

// Interface names what the call does, for the statistics: "login", or "orders.create". Without a
// name it counts as "connect", "adopt", "message", "close" or "timer". Of several names the last
// one counts. A name has 1 to 255 bytes of UTF-8. A worker counts some 1,000 different names; all
// others together count as "(other)". So a name must not contain what a client has sent, such as a
// path with an id.
func (c Call) Interface(name string) {
	s := c.s
	id := s.link.w.rec.Interface(name)
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if s.runs(c) {
		s.called = id
	}
}

// noCall says that no handler was called for the item that the session runs.
func noCall(s *session) error {
	s.called = calledNothing
	return nil
}

// record counts the call of an item that has ended. Called with Mu.
func (s *session) record(it *item, led bool) {
	id := s.called
	if id == calledByKind {
		id = it.kind.called()
	} else {
		s.called = calledByKind
		if id == calledNothing {
			return
		}
	}
	if led {
		s.link.in.record.Add(id, it.code)
	} else {
		s.link.shard.Add(id, s.unit.began, it.code)
	}
}

// recordFailure adds the failure of a running call to the log.
func recordFailure(s *session, it *item, err error) {
	s.Mu.Lock()
	id := s.called
	s.Mu.Unlock()
	if id == calledByKind {
		id = it.kind.called()
	}
	s.link.w.rec.Fail(id, it.code, s.remote, func() string { return stats.TextOf(err) })
}

// recordAuthenticate counts a call of Authenticate.
func recordAuthenticate(w *Worker, r *Request, began time.Time, err error) {
	code := uint32(0)
	if err != nil {
		code = codeOf(err)
		w.rec.Fail(calledAuthenticate, code, r.Header(link.RemoteHeader), func() string { return stats.TextOf(err) })
	}
	w.rec.Add(calledAuthenticate, time.Since(began), code)
}

// Record counts a call that is not one of a Handler: of which module and interface it was, how long
// it took, and the code of its failure, 0 for success. Of a failure, addr and text are kept in the
// log as far as there is room: who has called, which may be empty, and what was wrong. Any
// goroutine may call it. Package stat has a more convenient form, which other programs can use.
func (w *Worker) Record(module, name string, took time.Duration, code uint32, addr, text string) {
	id := w.rec.ID(module, name)
	w.rec.Add(id, took, code)
	if code != 0 {
		w.rec.Fail(id, code, addr, func() string { return text })
	}
}

// Codes of failures that have no code of their own. stats.CodeOf has those of other errors.
const (
	codeImpossible = 400 // an effect that is not possible
	codePanic      = 500 // a panic, or the end of the handler's goroutine
)

// codeOf returns the code of a call that has failed with err. Methods of err may panic.
func codeOf(err error) uint32 {
	code := stats.CodeOf(err)
	if code != 1 {
		return code
	}
	defer func() { _ = recover() }()
	if errors.Is(err, ErrPanic) {
		code = codePanic
	} else if slices.ContainsFunc(impossible(), func(is error) bool { return errors.Is(err, is) }) {
		code = codeImpossible
	}
	return code
}

// impossible returns the errors of effects that are not possible.
func impossible() []error {
	return []error{ErrTooBig, ErrInvalid, ErrEmpty, ErrTooMany, ErrUnitTooLarge}
}
