package worker

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/seed-7410fe32/sluice/internal/directory"
	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/narrow"
)

// narrowing chooses the gateways of what the worker itself sends to groups and uids, and asks about
// them (SPEC.md, "Narrow sends"). Gateways without a directory get everything.
type narrowing struct {
	// Static after init.
	w     *Worker
	began time.Time
	wants chan struct{} // capacity 1: there is something to ask for

	mu      sync.Mutex
	sender  *narrow.Sender     // guarded by mu
	permits map[uint32]*gwLink // guarded by mu: the link of each permit, by gateway; bound: none, one for each gateway
	names   [][]byte           // guarded by mu; scratch; bound: none, of one command
	located chan struct{}      // guarded by mu: closed with the next answer about sets, and replaced
}

const (
	// askEvery is the interval at which permits are asked for.
	askEvery = time.Second
	// locateTimeout is how long a gateway may take to answer LOCATE.
	locateTimeout = 3 * time.Second
)

func (n *narrowing) init(w *Worker) {
	n.w, n.began, n.wants = w, time.Now(), make(chan struct{}, 1)
	n.sender, n.permits = narrow.NewSender(0, 0), make(map[uint32]*gwLink)
	n.located = make(chan struct{})
}

func (n *narrowing) now() time.Duration { return time.Since(n.began) }

// add adds a gateway. It is called before anything is sent to it.
func (n *narrowing) add(gateway uint32) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sender.AddGateway(gateway)
}

// forget removes a gateway. It is called after the last thing was sent to it.
func (n *narrowing) forget(gateway uint32) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sender.RemoveGateway(gateway)
	delete(n.permits, gateway)
}

// lost ends the permit of a link that has ended.
func (n *narrowing) lost(l *gwLink) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.permits[l.gateway] == l {
		delete(n.permits, l.gateway)
		n.sender.Revoke(l.gateway)
	}
}

// recipients returns the gateways that a command or a query about the target is for, sorted. It
// reports false if it is for all. With many gateways it waits for the holders of a set that it does
// not know, narrow.LookupTime at most.
func (n *narrowing) recipients(ctx context.Context, t *Target) (only []uint32, ok bool) {
	switch t.kind {
	case targetEveryone:
		return nil, false
	case targetClient, targetClients:
		return t.gateways(), true
	}
	only, known, located := n.choose(t)
	if !known && len(*n.w.routes.table.Load()) > narrow.LookupGateways {
		sessionOf(ctx).aboutToBlock() // another goroutine reads the answer
		late := time.NewTimer(narrow.LookupTime)
		defer late.Stop()
		for waits := true; waits && !known; only, known, located = n.choose(t) {
			select {
			case <-located:
			case <-late.C:
				waits = false
			case <-ctx.Done():
				waits = false
			}
		}
	}
	if !known {
		n.mu.Lock()
		n.sender.WidenedUnknown++
		n.mu.Unlock()
	}
	return only, only != nil
}

// choose chooses the gateways that a command to the target is for: nil means all. It reports false
// if it has to ask which ones hold a set; located is closed with the next answer.
func (n *narrowing) choose(t *Target) (only []uint32, known bool, located <-chan struct{}) {
	kind := directory.Group
	if t.kind == targetUID || t.kind == targetUIDs {
		kind = directory.UID
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.permits) == 0 {
		return nil, true, nil // no gateway has a directory
	}
	n.names = n.names[:0]
	if t.names == nil {
		n.names = append(n.names, []byte(t.name))
	}
	for _, name := range t.names {
		n.names = append(n.names, []byte(name))
	}
	unknown := n.sender.WidenedUnknown
	to, ok := n.sender.Narrow(n.now(), kind, n.names)
	if n.sender.Wants() {
		select {
		case n.wants <- struct{}{}:
		default:
		}
	}
	if ok {
		only = append([]uint32{}, to...) // not nil
		slices.Sort(only)
		return only, true, nil
	}
	known = n.sender.WidenedUnknown == unknown
	n.sender.WidenedUnknown = unknown // the caller counts it
	return nil, known, n.located
}

// stats returns figures of Stats.
func (n *narrowing) stats() (narrowed, spared, widened uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := &n.sender.SenderCounters
	return c.Narrowed, c.Spared, c.WidenedUnknown + c.WidenedUnavailable
}

// run asks for permits and sets until ctx ends.
func (n *narrowing) run(ctx context.Context) {
	var both sync.WaitGroup
	both.Go(func() { n.ask(ctx) })
	both.Go(func() { n.locate(ctx) })
	both.Wait()
}

// ask asks each gateway that takes part for a permit, again and again.
func (n *narrowing) ask(ctx context.Context) {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		for id, to := range *n.w.routes.table.Load() {
			if l := n.permitLink(id, to); l != nil {
				l.sendUrgent(link.Frame{Type: link.Ask, ID: uint32(n.now().Milliseconds())})
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// permitLink returns the link on which a gateway is asked for a permit, or nil if there is none.
func (n *narrowing) permitLink(id uint32, to route) *gwLink {
	l := to.any()
	n.mu.Lock()
	defer n.mu.Unlock()
	if held := n.permits[id]; held != nil && slices.Contains(to.loops, held) {
		return held
	}
	if l == nil || !l.narrows {
		return nil
	}
	n.sender.Revoke(id)
	n.permits[id] = l
	return l
}

// permitted handles PERMIT.
func (n *narrowing) permitted(l *gwLink, f *link.Frame) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.permits[l.gateway] != l {
		return
	}
	now := n.now()
	ago := time.Duration(uint32(now.Milliseconds())-f.ID) * time.Millisecond
	n.sender.Permit(now, l.gateway, narrow.Token(f.Token), now.Truncate(time.Millisecond)-ago)
}

// forgets handles FORGET. What any goroutine decides after the answer knows of it.
func (n *narrowing) forgets(l *gwLink, f *link.Frame) error {
	n.mu.Lock()
	if len(f.Payload) == 0 && n.permits[l.gateway] == l {
		n.sender.Revoke(l.gateway)
	}
	c := link.Read(f.Payload)
	for len(c.Rest()) > 0 {
		kind, name := c.Set()
		n.sender.Forget(directory.Set{Kind: kind, Name: string(name)})
	}
	n.mu.Unlock()
	if c.Bad() {
		return badPayload(f)
	}
	l.sendUrgent(link.Frame{Type: link.Forgotten, ID: f.ID})
	return nil
}

// locate asks gateways for the holders of the sets that are wanted.
func (n *narrowing) locate(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.wants:
		}
		n.mu.Lock()
		sets := n.sender.TakeWanted(n.now())
		n.mu.Unlock()
		for part := range slices.Chunk(sets, link.MaxSets) {
			n.locatePart(ctx, part)
		}
	}
}

// locatePart asks one gateway.
func (n *narrowing) locatePart(ctx context.Context, sets []directory.Set) {
	var payload []byte
	for _, set := range sets {
		payload = link.AppendSet(payload, set.Kind, set.Name)
	}
	answer := n.askOne(ctx, payload)
	c := link.Read(answer)
	token := narrow.Token(c.U64())
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, set := range sets {
		holders := c.Holders()
		if c.Bad() {
			token = 0
		}
		n.sender.Located(n.now(), set, holders, token)
	}
	close(n.located)
	n.located = make(chan struct{})
}

// askOne sends LOCATE to a gateway that takes part. It returns nil without an answer.
func (n *narrowing) askOne(ctx context.Context, payload []byte) []byte {
	ctx, cancel := context.WithTimeout(ctx, locateTimeout)
	defer cancel()
	n.mu.Lock()
	var links []*gwLink
	for _, l := range n.permits {
		links = append(links, l)
	}
	n.mu.Unlock()
	if len(links) == 0 {
		return nil
	}
	status, q, err := n.w.question(ctx, links[0], link.Frame{Type: link.Locate}, payload)
	if err != nil || status != link.OK {
		return nil
	}
	return q.answer
}
