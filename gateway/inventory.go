package gateway

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// GroupInfo is a group and how many clients of this gateway are in it.
type GroupInfo struct {
	Name    string
	Clients int
}

const (
	maxGroupPage = 1000 // groups of one page
	scanGroups   = 4096 // memberships that a walk looks at in one turn of a loop, and one client's
)

// Groups returns at most limit groups (0: 100; at most 1,000) of this gateway's clients, in the
// order of their names: those that begin with prefix and come after the name after. more reports
// whether there are others behind them. It walks all clients for each page.
func (c *Control) Groups(
	ctx context.Context, prefix, after string, limit int,
) (page []GroupInfo, more bool, err error) {
	switch {
	case len(prefix) > link.MaxKey || len(after) > link.MaxKey:
		return nil, false, fmt.Errorf("%w: a group has at most %d bytes", ErrTarget, link.MaxKey)
	case !c.g.isReady():
		return nil, false, ErrNotRunning
	}
	if limit = min(limit, maxGroupPage); limit <= 0 {
		limit = 100
	}
	names := groupNames{prefix: prefix, after: after, most: limit + 1}
	for _, l := range c.g.loops {
		for next, done := uint32(0), false; !done; {
			from, first, last := next, names, names.last()
			found, err := on(ctx, l, func(l *loop) (some someGroups) {
				some.next, some.done = scanNames(l, from, func(name string) {
					if first.fits(name, last) {
						some.names = append(some.names, name)
					}
				})
				return some
			})
			if err != nil {
				return nil, false, err
			}
			next, done = found.next, found.done
			names.add(found.names)
		}
	}
	if more = len(names.list) > limit; more {
		names.list = names.list[:limit]
	}
	page, err = c.countGroups(ctx, names.list)
	return page, more, err
}

// someGroups are the names that one turn of a walk has found.
type someGroups struct {
	names []string // bound: none, scanGroups and the groups of a client
	next  uint32
	done  bool
}

// scanNames calls take for the groups of the clients of a loop from a slot on, until it has looked
// at enough. A group comes once for each of its clients.
func scanNames(l *loop, from uint32, take func(name string)) (next uint32, done bool) {
	for budget := scanGroups; int(from) < len(l.sessions); from++ {
		if budget <= 0 {
			return from, false
		}
		budget -= 4 // as much as four memberships
		if s := l.sessions[from]; s != nil && s.phase == phaseOpen {
			budget -= s.member.GroupCount()
			for name := range s.member.Groups() {
				take(name)
			}
		}
	}
	return from, true
}

// countGroups returns the groups with the number of their clients, without those that have none any
// more.
func (c *Control) countGroups(ctx context.Context, names []string) ([]GroupInfo, error) {
	keys := make([][]byte, len(names))
	all := make([]GroupInfo, len(names))
	for i, name := range names {
		keys[i], all[i].Name = []byte(name), name
	}
	for _, l := range c.g.loops {
		counts, err := on(ctx, l, func(l *loop) []byte { return l.members.Count(link.TargetGroups, keys, nil) })
		if err != nil {
			return nil, err
		}
		for i := range all {
			all[i].Clients += int(binary.BigEndian.Uint32(counts[4*i:]))
		}
	}
	return slices.DeleteFunc(all, func(g GroupInfo) bool { return g.Clients == 0 }), nil
}

// groupNames are the first names after a name that have a prefix, in order, and at most a number.
type groupNames struct {
	prefix, after string
	most          int
	list          []string // bound: none, most of them
}

// last is the last name if the list is full. Later names are not needed.
func (g *groupNames) last() string {
	if len(g.list) < g.most {
		return ""
	}
	return g.list[len(g.list)-1]
}

// fits reports whether a name may belong to the list.
func (g *groupNames) fits(name, last string) bool {
	return name > g.after && (last == "" || name < last) && strings.HasPrefix(name, g.prefix)
}

// add adds names.
func (g *groupNames) add(names []string) {
	g.list = append(g.list, names...)
	slices.SortFunc(g.list, cmp.Compare[string])
	g.list = slices.Compact(g.list)
	if len(g.list) > g.most {
		g.list = g.list[:g.most]
	}
}

// WorkerInfo describes a worker at one moment. The figures are sums over its links.
type WorkerInfo struct {
	ID     string // 32 hexadecimal digits; differs at each start of a worker
	Name   string // worker.Config.Name
	Build  string // worker.Config.Build
	Addr   string // host:port of one of its links
	Weight int    // worker.Config.Weight
	Links  int    // one for each event loop
	// Clients are the clients that it has.
	Clients int
	// Draining says that it takes no new clients and hands over those that it has.
	Draining bool
	// Behind says that it gets no new clients, because too many that have gone are unacknowledged.
	Behind bool
	// UnackedFrames and UnackedBytes were sent to it and are not acknowledged: connects, messages
	// and disconnects.
	UnackedFrames, UnackedBytes int
	// OutputBytes wait to be sent to it, in bytes.
	OutputBytes int
}

// Workers returns the workers that have a link to this gateway, in the order of their names.
func (c *Control) Workers(ctx context.Context) ([]WorkerInfo, error) {
	if !c.g.isReady() {
		return nil, ErrNotRunning
	}
	sums := make(map[string]WorkerInfo)
	for _, l := range c.g.loops {
		links, err := on(ctx, l, linksOf)
		if err != nil {
			return nil, err
		}
		for _, k := range links {
			w, known := sums[k.ID]
			if !known {
				sums[k.ID] = k
				continue
			}
			w.Links += k.Links
			w.Clients += k.Clients
			w.Draining, w.Behind = w.Draining || k.Draining, w.Behind || k.Behind
			w.UnackedFrames += k.UnackedFrames
			w.UnackedBytes += k.UnackedBytes
			w.OutputBytes += k.OutputBytes
			sums[k.ID] = w
		}
	}
	all := make([]WorkerInfo, 0, len(sums))
	for _, w := range sums {
		all = append(all, w)
	}
	slices.SortFunc(all, func(a, b WorkerInfo) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

// linksOf describes the links of a loop to workers.
func linksOf(l *loop) []WorkerInfo {
	links := make([]WorkerInfo, 0, len(l.links))
	for _, k := range l.links {
		if publishes(k) {
			continue
		}
		frames, bytes := k.delivery.InFlight()
		links = append(links, WorkerInfo{
			ID: fmt.Sprintf("%x", k.hello.ID), Name: k.hello.Name, Build: k.hello.Build,
			Addr: k.conn.RemoteAddr().String(), Weight: int(k.hello.Weight), Links: 1, Clients: k.delivery.Clients(),
			Draining: k.delivery.IsDraining(), Behind: k.delivery.Behind(), UnackedFrames: frames, UnackedBytes: bytes,
			OutputBytes: k.conn.Buffered(),
		})
	}
	return links
}
