package worker

import (
	"sync"
	"time"

	"sluice/internal/link"
)

// outbox keeps what handlers do at one loop of another gateway than their client's (ONCE in SPEC.md) until that loop has confirmed it, with the PONG to a PING
// behind it: a link that breaks loses nothing of it, for the next one begins with all that is kept. What the gateway had got nevertheless it drops.
//
// It is bounded by maxKept: past it handlers wait for the link, or fail when there is none. What a gateway has not been there for in keepFor is given up.
type outbox struct {
	stats *stats

	mu      sync.Mutex // before gwLink.mu
	link    *gwLink    // guarded by mu; nil: down
	down    time.Time  // guarded by mu: since when
	epoch   uint64     // guarded by mu: the gateway's start that this is for
	kept    []byte     // guarded by mu: frames, oldest first
	over    uint64     // guarded by mu: bytes that were kept before those
	asked   int        // guarded by mu: bytes of kept that the PING that is out stands behind; 0: none is
	changed sync.Cond  // on mu: less is kept, or the link is another
}

const (
	maxKept = 4 << 20 // bytes
	keepFor = 10 * time.Second
)

func newOutbox(s *stats) *outbox {
	b := &outbox{stats: s, down: time.Now()}
	b.changed.L = &b.mu
	return b
}

// send sends a frame behind all that was sent before. It returns the link that it went down, nil when it is kept until there is one.
func (b *outbox) send(f *link.Frame, head, body []byte) (*gwLink, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.link != nil && len(b.kept) > maxKept {
		b.changed.Wait()
	}
	if b.link == nil {
		b.expire()
		if len(b.kept) > maxKept || time.Since(b.down) > keepFor {
			return nil, ErrLinkDown
		}
	}
	start := len(b.kept)
	b.kept = appendFrame(b.kept, f, head, body)
	if b.link != nil {
		b.pass(b.kept[start:])
	}
	return b.link, nil
}

// pass gives frames to the link, and asks for a confirmation unless one is due. Called with mu.
func (b *outbox) pass(frames []byte) {
	l := b.link
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out = append(l.out, frames...)
	if b.asked == 0 {
		b.asked = len(b.kept)
		l.out = link.Append(l.out, &link.Frame{Type: link.Ping, ID: outboxPing})
	}
	if !l.writing {
		l.work.Signal()
	}
}

// confirm forgets what stood before the PING that a link has answered.
func (b *outbox) confirm(l *gwLink) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.link != l {
		return
	}
	b.over += uint64(b.asked)
	b.kept = b.kept[:copy(b.kept, b.kept[b.asked:])]
	b.asked = 0
	if len(b.kept) > 0 {
		b.pass(nil)
	} else if cap(b.kept) > maxSpare {
		b.kept = nil
	}
	b.changed.Broadcast()
}

// adopt goes on with a new link: it begins with what is kept, unless that was for another start of the gateway, whose clients are gone.
func (b *outbox) adopt(l *gwLink) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.epoch != l.epoch {
		b.drop()
	}
	b.expire()
	b.link, b.epoch, b.asked = l, l.epoch, 0
	if len(b.kept) > 0 {
		b.stats.resent.Add(countFrames(b.kept))
		b.pass(b.kept)
	}
	b.changed.Broadcast()
}

// lose notes that a link has ended.
func (b *outbox) lose(l *gwLink) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.link == l {
		b.link, b.down = nil, time.Now()
		b.changed.Broadcast()
	}
}

// expire gives up what has waited too long for a link. Called with mu.
func (b *outbox) expire() {
	if b.link == nil && time.Since(b.down) > keepFor {
		b.drop()
	}
}

// drop gives up all that is kept. Called with mu.
func (b *outbox) drop() {
	b.stats.unreached.Add(countFrames(b.kept))
	b.over += uint64(len(b.kept))
	b.kept, b.asked = nil, 0
}

// await waits until the gateway has all that is kept now, or there is no link to it, but not longer than until the deadline.
func (b *outbox) await(deadline time.Time) {
	late := time.AfterFunc(time.Until(deadline), func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.changed.Broadcast()
	})
	defer late.Stop()
	b.mu.Lock()
	defer b.mu.Unlock()
	for end := b.over + uint64(len(b.kept)); b.over < end && b.link != nil && time.Now().Before(deadline); {
		b.changed.Wait()
	}
}

// abandon gives up what is kept, and returns how many bytes that was.
func (b *outbox) abandon() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := len(b.kept)
	b.drop()
	return n
}

func countFrames(b []byte) (n uint64) {
	for len(b) > 0 {
		var f link.Frame
		size, _ := link.Next(b, link.MaxFrame, &f) // our own writing: always whole
		b = b[size:]
		n++
	}
	return n
}
