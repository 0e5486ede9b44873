package bench

import (
	"context"
	"errors"
	"time"
)

// shortLived tells whether connections come and go.
func (o *Options) shortLived() bool { return o.Mode == Connect || o.Mode == Churn }

// sample adds up what all lanes counted.
func (g *generator) sample() laneSample {
	parts := make([]laneSample, len(g.lanes))
	g.each(func(l *lane) { parts[l.loop.Index()] = l.sample() })
	sum := parts[0]
	for _, p := range parts[1:] {
		sum.sent += p.sent
		sum.messages += p.messages
		sum.bytes += p.bytes
		sum.failures += p.failures
		sum.open += p.open
		sum.latency.Merge(p.latency)
		sum.lateness.Merge(p.lateness)
	}
	return sum
}

// stop sends nothing more and waits, at most as long as Options.Drain says, until all that was sent has arrived. It returns the final account.
func (g *generator) stop(ctx context.Context) Audit {
	g.each(func(l *lane) { l.running = false })
	ctx, cancel := context.WithTimeout(ctx, g.opts.Drain)
	defer cancel()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		audit, alive := g.audit()
		if audit.Lost == 0 && alive == 0 {
			return audit
		}
		select {
		case <-ctx.Done():
			return audit
		case <-look.C:
		}
	}
}

// audit closes the books as of now. alive is the number of short-lived connections that are still at it.
func (g *generator) audit() (total Audit, alive int) {
	sent := make([]uint32, g.opts.Conns)
	g.each(func(l *lane) {
		for _, c := range l.clients {
			sent[c.id] = c.sent
		}
	})
	parts := make([]Audit, len(g.lanes))
	open := make([]int, len(g.lanes))
	g.each(func(l *lane) {
		a := l.audit
		for _, c := range l.clients {
			for i := range c.accounts {
				c.accounts[i].close(sent[c.from+uint32(i)], &a)
			}
		}
		parts[l.loop.Index()] = a
		if g.opts.shortLived() {
			open[l.loop.Index()] = l.open
		}
	})
	for i := range parts {
		total.add(parts[i])
		alive += open[i]
	}
	return total, alive
}

// failed are the errors of all lanes.
func (g *generator) failed() []ErrorCount {
	byKind := make([]map[string]ErrorCount, len(g.lanes))
	g.each(func(l *lane) {
		m := make(map[string]ErrorCount, len(l.errors))
		for kind, e := range l.errors {
			m[kind] = *e
		}
		byKind[l.loop.Index()] = m
	})
	var all []ErrorCount
	for _, kind := range []string{"dial", "handshake", "closed", "changed"} {
		sum := ErrorCount{Kind: kind}
		for _, m := range byKind {
			if e, ok := m[kind]; ok {
				sum.Count += e.Count
				sum.Example = e.Example
			}
		}
		if sum.Count > 0 {
			all = append(all, sum)
		}
	}
	return all
}

// close ends the generator and everything it opened. ctx bounds the wait.
func (g *generator) close(ctx context.Context) error {
	err := g.engine.Stop(ctx)
	g.dialling.Wait()
	return errors.Join(err)
}
