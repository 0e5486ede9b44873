package bench

import (
	"cmp"
	"context"
	"maps"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/seed-7410fe32/sluice/internal/proc"
)

// sample adds up what all shards counted.
func (g *generator) sample() sample {
	parts := make([]sample, len(g.shards))
	g.each(func(l *shard) { parts[l.loop.Index()] = l.sample() })
	sum := parts[0]
	for _, p := range parts[1:] {
		sum.add(p)
	}
	sum.Usage = usage{CPU: ownCPU(), RSS: uint64(proc.Resident(os.Getpid()))}
	return sum
}

// halt sends what an open loop should have sent by now, and nothing more. It returns what each connection has sent: connection first+i the i-th.
func (g *generator) halt() []uint32 {
	g.halted.Store(true)
	sent := make([]uint32, g.end-g.first)
	g.each(func(l *shard) {
		if l.schedule.period > 0 {
			l.pace()
		}
		l.running = false
		for _, c := range l.clients {
			sent[c.id-g.first] = c.sent.Load()
		}
	})
	return sent
}

// audit closes the books as of now. sent is what each connection of the whole run has sent.
func (g *generator) audit(sent []uint32) audited {
	var dialling uint64
	if g.opts.shortLived() { // people who come back have their accounts
		dialling = uint64(g.underway.Load()) // first: whoever comes in meanwhile must be in one of the two
	}
	parts := make([]audited, len(g.shards))
	g.each(func(l *shard) {
		p := audited{Audit: l.audit, Errors: make(map[string]ErrorCount, len(l.errors))}
		for _, c := range l.clients {
			p.Missing += c.close(sent, &p.Audit)
		}
		for kind, e := range l.errors {
			p.Errors[kind] = *e
		}
		parts[l.loop.Index()] = p
	})
	sum := parts[0]
	for _, p := range parts[1:] {
		sum.add(p)
	}
	sum.Audit.Unanswered += dialling
	return sum
}

// close enters what c should have received into the audit, and returns how many messages of that have not come, or not so that they could be read. sent is what each
// connection of the run has sent; one that comes and goes has sent to itself alone.
func (c *client) close(sent []uint32, audit *Audit) (missing uint64) {
	lost := audit.Lost
	switch {
	case c.person != nil:
		c.person.close(audit)
	case c.shard.opts.shortLived():
		for i := range c.accounts {
			c.accounts[i].close(c.sent.Load(), audit)
		}
		if !c.conn.Closed() {
			audit.Unanswered++
		}
	default:
		for i := range c.accounts {
			c.accounts[i].close(sent[c.from+uint32(i)], audit)
		}
	}
	missing = audit.Lost - lost
	audit.unread(uint64(c.unread), missing)
	return missing
}

// audited is the account of a part, or of the run.
type audited struct {
	Audit   Audit
	Errors  map[string]ErrorCount
	Missing uint64 // messages that may still be on their way: one that could not be read need not have been one of them
}

func (a *audited) add(b audited) {
	addTo(&a.Audit, b.Audit, 1)
	a.Missing += b.Missing
	for kind, e := range b.Errors {
		e.Count += a.Errors[kind].Count
		a.Errors[kind] = e
	}
}

// errors are the kinds of failure, the most frequent first.
func (a *audited) errors() []ErrorCount {
	return slices.SortedFunc(maps.Values(a.Errors), func(a, b ErrorCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Kind, b.Kind))
	})
}

// settled tells whether nothing is on its way any more.
func (a *audited) settled() bool { return a.Missing == 0 && a.Audit.Unanswered == 0 }

// ownCPU is the CPU time of this process.
func ownCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// close ends the generator and everything it opened. ctx bounds the wait.
func (g *generator) close(ctx context.Context) error {
	g.cancel()
	err := g.engine.Stop(ctx)
	g.dialling.Wait()
	return err
}
