package gateway

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// questions are the upgrades of a loop about which a worker was asked, or is to be asked as soon as
// one is there.
type questions struct {
	of   map[uint32]*upgrade // by id; bound: calls of `OnUpgrade`
	last uint32
}

// question is the part of an upgrade that a worker decides.
type question struct {
	id   uint32      // 0: the upgrade waits for its turn
	link *workerLink // nil: no worker is there
	sent time.Time   // when the session began, for the time that is left
}

// asksWorker reports whether a worker decides on a listener's WebSockets.
func (l *listener) asksWorker() bool {
	return l.OnUpgrade == nil && (l.Authenticate || l.g.workersAuthenticate.Load())
}

// ask asks a worker about an upgrade whose turn it is.
func (q *questions) ask(u *upgrade) {
	if q.of == nil {
		q.of = make(map[uint32]*upgrade)
	}
	for q.last++; q.last == 0 || q.of[q.last] != nil; q.last++ {
	}
	u.question.id = q.last
	q.of[q.last] = u
	u.send()
}

// send sends the question by the link that has the fewest, if there is one.
func (u *upgrade) send() {
	var best *workerLink
	for _, k := range u.session.loop.links {
		if k.authenticates && !k.ended && k.asked < maxAsked(k) && (best == nil || before(k, best)) {
			best = k
		}
	}
	s := u.session
	if u.question.link = best; best == nil {
		return
	}
	best.asked++
	left := s.lis.HandshakeTimeout - time.Since(u.question.sent)
	headers := []link.Header{{Name: link.RemoteHeader, Value: s.remote()}, {Name: link.ListenerHeader, Value: s.lis.URL}}
	for name, value := range link.RequestHeaders(s.request) {
		headers = append(headers, link.Header{Name: name, Value: value})
	}
	request := link.AppendRequest(nil, link.RequestTarget(s.request), headers)
	best.send(&link.Frame{
		Type: link.Authenticate, ID: u.question.id,
		Payload: link.AppendQuestion(nil, link.Question{Within: max(left, time.Millisecond), Request: string(request)}),
	})
}

// maxAsked is how many questions a link may have at a time. They need no credit, and must not make
// its output overflow.
func maxAsked(k *workerLink) int { return max(k.delivery.Window()/(32<<10), 1) }

// before reports whether a link is to be asked rather than another one.
func before(k, other *workerLink) bool {
	if k.delivery.IsDraining() != other.delivery.IsDraining() {
		return !k.delivery.IsDraining()
	}
	return k.asked < other.asked || k.asked == other.asked && k.serial < other.serial
}

// take removes an upgrade that is decided or has gone.
func (q *questions) take(u *upgrade) {
	delete(q.of, u.question.id)
	if k := u.question.link; k != nil {
		k.asked--
	}
}

// retry asks about those for which there was no link. There may be one now.
func (q *questions) retry() {
	for _, id := range slices.Sorted(maps.Keys(q.of)) {
		if u := q.of[id]; u.question.link == nil {
			u.send()
		}
	}
}

// lost asks others about what a link that has ended was asked.
func (q *questions) lost(k *workerLink) {
	for _, id := range slices.Sorted(maps.Keys(q.of)) {
		if u := q.of[id]; u.question.link == k {
			u.send()
		}
	}
}

// answered handles the answer of a worker.
func (q *questions) answered(k *workerLink, f *link.Frame) error {
	u := q.of[f.ID]
	if u == nil || u.question.link != k {
		return nil // too late
	}
	var id identity
	var err error
	if f.Code != 0 {
		if err = RefuseFor("worker", int(f.Code), string(f.Payload)); f.Code < 400 || f.Code > 599 {
			return fmt.Errorf("%w: status %d", link.ErrFrame, f.Code)
		}
	} else {
		c := link.Read(f.Payload)
		known := c.Known()
		if !c.End() {
			return fmt.Errorf("%w: invalid payload of %v", link.ErrFrame, f.Type)
		}
		id, err = (&Identity{UID: known.UID, Attrs: attrsOf(known.Attrs), Expires: known.Expires}).check()
	}
	full := k.asked >= maxAsked(k)
	q.take(u)
	k.loop.upgraded(u, &id, err)
	if full {
		q.retry()
	}
	return nil
}

func attrsOf(list []link.Attribute) map[string]string {
	all := make(map[string]string, len(list))
	for _, a := range list {
		all[a.Key] = a.Value
	}
	return all
}
