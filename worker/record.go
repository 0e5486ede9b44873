package worker

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/record"
)

// What calls are counted as.
const (
	calledByKind       = record.Other              // as the kind of its event; nothing else is counted as this ID
	calledAuthenticate = record.ID(itemTimer) + 2  // as Authenticate
	calledNothing      = record.ID(math.MaxUint16) // no handler was called
)

// called returns what a call of the kind is counted as if it has no other name.
func (k itemKind) called() record.ID { return record.ID(k) + 1 }

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
		s.link.shard.Add(id, s.began, it.code)
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
	s.link.w.rec.Fail(id, it.code, s.remote, func() string { return textOf(err) })
}

// recordAuthenticate counts a call of Authenticate.
func recordAuthenticate(w *Worker, r *Request, began time.Time, err error) {
	code := uint32(0)
	if err != nil {
		code = codeOf(err)
		w.rec.Fail(calledAuthenticate, code, r.Header(link.RemoteHeader), func() string { return textOf(err) })
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

// Codes of failures that have no code of their own.
const (
	codeError      = 1   // an error
	codeImpossible = 400 // an effect that is not possible
	codePanic      = 500 // a panic, or the end of the handler's goroutine
	codeTimeout    = 504 // an error that says that something took too long
)

// codeOf returns the code of a call that has failed with err.
func codeOf(err error) (code uint32) {
	defer func() {
		if recover() != nil { // a method of the error has panicked
			code = codeError
		}
	}()
	var coded interface{ Code() int }
	var timed interface{ Timeout() bool }
	if r, ok := errors.AsType[*refusal](err); ok {
		return uint32(r.code)
	}
	if r, ok := errors.AsType[*statusRefusal](err); ok {
		return uint32(r.status)
	}
	switch {
	case errors.Is(err, ErrPanic):
		return codePanic
	case errors.As(err, &coded) && coded.Code() > 0 && uint64(coded.Code()) <= math.MaxUint32:
		return uint32(coded.Code())
	case errors.Is(err, ErrTooBig), errors.Is(err, ErrInvalid), errors.Is(err, ErrEmpty), errors.Is(err, ErrTooMany),
		errors.Is(err, ErrUnitTooLarge):
		return codeImpossible
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timed) && timed.Timeout():
		return codeTimeout
	}
	return codeError
}

// textOf returns the text of an error, also if its method panics.
func textOf(err error) (text string) {
	defer func() {
		if recover() != nil {
			text = "the error's method Error has panicked"
		}
	}()
	return err.Error()
}
