package gateway

import (
	"context"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/seed-7410fe32/sluice/internal/backoff"
	"github.com/seed-7410fe32/sluice/internal/directory"
	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/narrow"
)

// interest is the gateway's side of narrow sends: it keeps the sets that the gateway holds in the
// directory, and asks the directory for the loops. Two goroutines call the directory. What they
// learn goes to the loops as notices.
type interest struct {
	// Static after newInterest.
	g      *Gateway
	dir    directory.Directory
	member directory.Member
	wake   chan struct{} // capacity 1: there is something to enter
	locate chan struct{} // capacity 1: there is something to ask for

	mu      sync.Mutex
	holder  *narrow.Holder // guarded by mu
	notices [][]notice     // by loop, guarded by mu; bound: joins that wait for the directory
	lookups []lookup       // guarded by mu; bound: sets that a sender knows
	// told is the number of the doubt, from 1 for the start, of whose end the directory was told last.
	told    uint64 // guarded by mu
	removes bool   // the last call was one that removes before it enters; guarded by mu
}

// notice is something that a loop has to do: its senders have to forget something, the directory
// has answered, or a set that it waits for is visible.
type notice struct {
	round  *narrow.Round
	answer *lookup
	waiter uint64
}

// lookup is a question to the directory: which gateways hold sets.
type lookup struct {
	loop   uint8
	reader directory.Reader
	sets   []directory.Set // bound: sets that a sender knows
	found  [][]uint32      // of each set; bound: gateways that a loop knows
	token  narrow.Token    // 0: not answered
	done   func(l *loop, found *lookup)
}

const (
	// maxEntries is how many sets one call of the directory names.
	maxEntries = link.MaxSets
	// directoryTimeout is how long a call of the directory may take. While it does, joins wait.
	directoryTimeout = 2 * time.Second
	// observeEvery is how often the generation of the directory is looked at.
	observeEvery = 500 * time.Millisecond
	// These are the shortest and the longest pause after a call of the directory has failed.
	minDirectoryPause = 50 * time.Millisecond
	maxDirectoryPause = time.Second
)

func newInterest(g *Gateway, loops int) *interest {
	return &interest{
		g: g, dir: g.cfg.Directory, member: g.place.entry(g.cfg.ID),
		wake: make(chan struct{}, 1), locate: make(chan struct{}, 1),
		holder: narrow.NewHolder(g.cfg.ID, loops), notices: make([][]notice, loops),
	}
}

// run calls the directory until ctx ends.
func (n *interest) run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { n.keep(ctx) })
	wg.Go(func() { n.look(ctx) })
	wg.Wait()
}

func (n *interest) now() time.Duration { return time.Since(n.g.started) }

// token is that of the permits that the gateway gives, 0 if it gives none.
func (n *interest) token() narrow.Token {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.holder.Token()
}

// hold adds a reference to a set, and reports whether it is visible.
func (n *interest) hold(set directory.Set) bool {
	n.mu.Lock()
	visible := n.holder.Hold(n.now(), set)
	queued := n.holder.Queued() > 0
	n.mu.Unlock()
	if queued {
		poke(n.wake)
	}
	return visible
}

// entry reports whether the gateway holds a set, and in which generation of the directory it is
// entered. Token 0 means not yet.
func (n *interest) entry(set directory.Set) (token narrow.Token, holds bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.holder.Entry(set)
}

func (n *interest) release(set directory.Set) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.holder.Release(n.now(), set)
}

// await has a loop told when a set that it holds is visible.
func (n *interest) await(set directory.Set, w narrow.Waiter) {
	n.mu.Lock()
	n.holder.Await(set, w)
	n.deliver()
}

// roundOver notes that senders of a loop have forgotten.
func (n *interest) roundOver(number uint64) {
	n.mu.Lock()
	n.holder.RoundOver(number)
	n.deliver()
	poke(n.wake)
}

// deliver passes what the holder has produced to the loops. It is called with mu, and unlocks it.
func (n *interest) deliver() {
	for _, w := range n.holder.TakeVisible() {
		n.notices[w.Loop] = append(n.notices[w.Loop], notice{waiter: w.Number})
	}
	for _, r := range n.holder.TakeRounds() {
		for i := range n.notices {
			n.notices[i] = append(n.notices[i], notice{round: &r})
		}
	}
	n.post()
}

// post wakes the loops that have notices. It is called with mu, and unlocks it. If a mailbox is
// full, the tick of the loop finds the notices.
func (n *interest) post() {
	var due []*loop
	for i, list := range n.notices {
		if len(list) > 0 {
			due = append(due, n.g.loops[i])
		}
	}
	n.mu.Unlock()
	for _, l := range due {
		_ = l.el.Post(l.narrow.take)
	}
}

// taken returns the notices of a loop, and removes them.
func (n *interest) taken(loop uint8) []notice {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := n.notices[loop]
	n.notices[loop] = nil
	return list
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// generation is the token of the directory's data, as far as that is known here. It is 0 while the
// directory is down.
func (n *interest) generation() narrow.Token {
	s := n.dir.State()
	if !s.Up {
		return 0
	}
	return tokenOf(s.Generation)
}

// tokenOf returns the token of a generation, 0 for none.
func tokenOf(generation string) narrow.Token {
	if generation == "" {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(generation))
	return narrow.Token(max(h.Sum64(), 1))
}

// call makes one call of the directory. It returns the token of the data that it was about, or 0 if
// that is not certain: the data may have been lost a moment ago.
func (n *interest) call(ctx context.Context, f func(ctx context.Context) error) narrow.Token {
	limited, cancel := context.WithTimeout(ctx, directoryTimeout)
	defer cancel()
	before := n.generation()
	if before == 0 || f(limited) != nil {
		return 0
	}
	if after, err := n.dir.Generation(limited); err != nil || tokenOf(after) != before {
		return 0
	}
	return before
}

// keep enters and removes sets, one call after the other.
func (n *interest) keep(ctx context.Context) {
	failures := 0
	pause := time.NewTimer(observeEvery)
	for ctx.Err() == nil {
		began := time.Now()
		worked, ok := n.update(ctx)
		n.tell()
		switch {
		case !ok:
			failures++
			wait := backoff.Delay(minDirectoryPause, maxDirectoryPause, failures)
			backoff.Sleep(ctx, wait/2+rand.N(wait/2))
			continue
		case worked && n.inDoubt():
			backoff.Sleep(ctx, time.Since(began)) // others enter everything again too
			continue
		case worked:
			failures = 0
			continue
		}
		pause.Reset(observeEvery)
		select {
		case <-ctx.Done():
		case <-n.wake:
		case <-n.dir.Changed():
		case <-pause.C:
		}
	}
}

// tell tells others that sets of members from before the end of a doubt are entered.
func (n *interest) tell() {
	n.mu.Lock()
	now := n.holder.Doubts + 1
	over := n.holder.Token() != 0 && now != n.told
	if over {
		n.told = now
	}
	n.mu.Unlock()
	if over {
		n.g.place.entered(now)
	}
}

func (n *interest) inDoubt() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.holder.InDoubt()
}

// update makes the next call, if there is one. It reports whether there was, and whether it has
// succeeded.
func (n *interest) update(ctx context.Context) (worked, ok bool) {
	token := n.generation()
	n.mu.Lock()
	n.holder.Observe(token)
	enters, leaves := n.next()
	n.deliver()
	switch {
	case len(enters) > 0:
		var readers [][]directory.Reader
		token = n.call(ctx, func(ctx context.Context) (err error) {
			readers, err = n.dir.Enter(ctx, n.member, enters)
			return err
		})
		n.mu.Lock()
		n.holder.Entered(n.now(), enters, readers, token)
		n.deliver()
		return true, token != 0
	case len(leaves) > 0:
		token = n.call(ctx, func(ctx context.Context) error { return n.dir.Leave(ctx, n.member, leaves) })
		n.mu.Lock()
		n.holder.Left(leaves)
		n.deliver()
		return true, token != 0
	}
	return false, true
}

// next returns the sets that the next call enters, or those that it removes. Those to enter go
// first, because joins wait for them, except while too many sets have no members: then calls take
// turns. In doubt nothing is removed by a call, so that needs no turn. It is called with mu.
func (n *interest) next() (enters, leaves []directory.Set) {
	if n.removes = !n.removes && n.holder.Crowded(); n.removes || n.holder.InDoubt() {
		leaves = n.holder.TakeLeaves(n.now(), maxEntries)
	}
	if len(leaves) == 0 {
		enters = n.holder.TakeEnters(n.now(), maxEntries)
	}
	if len(leaves)+len(enters) == 0 {
		leaves = n.holder.TakeLeaves(n.now(), maxEntries)
	}
	return enters, leaves
}

// ask asks the directory for a loop. The answer comes as a notice. What a loop asks for itself
// while another call runs is one call: otherwise each set would take two round trips of its own.
func (n *interest) ask(q lookup) {
	n.mu.Lock()
	same := func(other lookup) bool { return other.reader == q.reader && q.reader != narrow.Workers }
	if i := slices.IndexFunc(n.lookups, same); i >= 0 {
		n.lookups[i].sets = append(n.lookups[i].sets, q.sets...)
	} else {
		n.lookups = append(n.lookups, q)
	}
	n.mu.Unlock()
	poke(n.locate)
}

// look answers what ask has queued.
func (n *interest) look(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.locate:
		}
		n.mu.Lock()
		list := n.lookups
		n.lookups = nil
		n.mu.Unlock()
		for i := range list {
			n.lookup(ctx, &list[i])
		}
	}
}

// lookup asks one question, in parts that the directory accepts.
func (n *interest) lookup(ctx context.Context, q *lookup) {
	for at := 0; at < len(q.sets); at += maxEntries {
		part := lookup{sets: q.sets[at:min(at+maxEntries, len(q.sets))], done: q.done}
		var members [][]directory.Member
		part.token = n.call(ctx, func(ctx context.Context) (err error) {
			members, err = n.dir.Locate(ctx, q.reader, narrow.SetTime, part.sets)
			return err
		})
		part.found = make([][]uint32, len(part.sets))
		for i, list := range members {
			for _, m := range list {
				part.found[i] = append(part.found[i], m.Gateway)
			}
		}
		n.mu.Lock()
		n.notices[q.loop] = append(n.notices[q.loop], notice{answer: &part})
		n.post()
	}
}
