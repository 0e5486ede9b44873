package bench

import (
	"cmp"
	"context"
	"maps"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/seed-7410fe32/sluice/internal/procfs"
)

func (g *generator) sample() sample {
	parts := make([]sample, len(g.shards))
	g.each(func(sh *shard) { parts[sh.loop.Index()] = sh.sample() })
	sum := total(parts, (*sample).add)
	sum.Usage = usage{CPU: ownCPU(), RSS: uint64(procfs.Resident(os.Getpid()))}
	return sum
}

// total adds up parts. There is at least one.
func total[T any](parts []T, add func(*T, T)) T {
	sum := parts[0]
	for _, p := range parts[1:] {
		add(&sum, p)
	}
	return sum
}

// halt sends what an open loop still has to send, and stops. It returns the number of messages each
// connection has sent; index 0 is connection first.
func (g *generator) halt() []uint32 {
	g.halted.Store(true)
	sent := make([]uint32, g.end-g.first)
	g.each(func(sh *shard) {
		if sh.schedule.period > 0 {
			sh.pace()
		}
		sh.running = false
		for _, c := range sh.clients {
			sent[c.id-g.first] = c.sent.Load()
		}
	})
	return sent
}

// audit closes the accounts as of now. sent is what each connection of the whole run has sent.
func (g *generator) audit(sent []uint32) audited {
	var dialling uint64
	if g.opts.shortLived() {
		// Read first: a client that is entered meanwhile must be counted in one of the two. Users
		// of mode chat who come back have an account.
		dialling = uint64(g.underway.Load())
	}
	parts := make([]audited, len(g.shards))
	g.each(func(sh *shard) {
		p := audited{Audit: sh.audit, Errors: make(map[string]ErrorCount, len(sh.errors))}
		for _, c := range sh.clients {
			p.Missing += c.close(sent, &p.Audit)
		}
		for kind, e := range sh.errors {
			p.Errors[kind] = *e
		}
		parts[sh.loop.Index()] = p
	})
	sum := total(parts, (*audited).add)
	sum.Audit.Unanswered += dialling
	return sum
}

// close enters what c should have received into the audit. It returns how many of these messages
// are missing or could not be read. A short-lived connection receives only what it has sent itself.
func (c *client) close(sent []uint32, audit *Audit) (missing uint64) {
	lost := audit.Lost
	switch {
	case c.user != nil:
		c.user.close(audit)
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
	Missing uint64 // messages that may be in flight, even if an unreadable one was taken for one of them
}

func (a *audited) add(b audited) {
	addTo(&a.Audit, b.Audit, 1)
	a.Missing += b.Missing
	for kind, e := range b.Errors {
		e.Count += a.Errors[kind].Count
		a.Errors[kind] = e
	}
}

func (a *audited) errors() []ErrorCount {
	return slices.SortedFunc(maps.Values(a.Errors), func(a, b ErrorCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Kind, b.Kind))
	})
}

// settled reports whether nothing is in flight.
func (a *audited) settled() bool { return a.Missing == 0 && a.Audit.Unanswered == 0 }

func ownCPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// close ends the generator and all its goroutines. ctx bounds the wait.
func (g *generator) close(ctx context.Context) error {
	g.cancel()
	err := g.engine.Stop(ctx)
	g.dialling.Wait()
	return err
}
