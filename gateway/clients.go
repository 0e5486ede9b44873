package gateway

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/delivery"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// ClientFilter selects clients. The zero value selects all; fields that are set must all fit.
type ClientFilter struct {
	UID      string
	Group    string
	Addr     netip.Prefix // of the client's address
	Port     uint16       // of the client's address; 0: any
	Listener string       // URL, as in Gateway.Addrs
	// Slow selects clients whose output waits because they do not read fast enough.
	Slow bool
}

// ClientInfo describes a client at one moment. Sizes are in bytes.
type ClientInfo struct {
	ID       string // as worker.ClientID has it
	Addr     string // host:port
	Listener string // URL
	UID      string // empty: none
	Worker   string // name of its worker; empty: none yet
	WorkerID string // 32 hexadecimal digits; empty: none yet
	Pending  bool   // no worker has admitted it yet
	Groups   int    // number of groups
	// QueuedMessages and QueuedBytes wait for a worker or its credit.
	QueuedMessages, QueuedBytes int
	UnackedBytes                int  // messages that its worker has not acknowledged
	OutputBytes                 int  // output that its connection has not taken
	Slow                        bool // output waits because it does not read fast enough
	// Since is when it became a client, and LastHeard when bytes of it last came. Both are exact to
	// about a second.
	Since, LastHeard time.Time
}

// ClientPage is one page of clients.
type ClientPage struct {
	Clients []ClientInfo
	// Next is the cursor of the next page. Empty at the end. A page may have fewer clients than the
	// limit, or none, and be followed by others.
	Next string
}

// maxClientPage is the most clients of one page.
const maxClientPage = 1000

// pageTime is how long a page is filled. What was found until then is the page.
const pageTime = 2 * time.Second

// Clients returns a page of at most limit clients (0: 100; at most 1,000) that fit the filter. An
// empty cursor means the first page. The order is fixed and has no meaning. An error wraps
// ErrTarget for a cursor that is not valid.
func (c *Control) Clients(ctx context.Context, f ClientFilter, limit int, cursor string) (page ClientPage, err error) {
	if !c.g.isReady() {
		return page, ErrNotRunning
	}
	at, err := parseCursor(cursor)
	if err != nil || int(at.loop) >= len(c.g.loops) {
		return page, fmt.Errorf("%w: cursor %q", ErrTarget, cursor)
	}
	if limit = min(limit, maxClientPage); limit <= 0 {
		limit = 100
	}
	own := newFilter(f)
	for end := time.Now().Add(pageTime); len(page.Clients) < limit; {
		l, from, most := c.g.loops[at.loop], at.slot, min(limit-len(page.Clients), scanTakes)
		found, err := on(ctx, l, func(l *loop) (some someClients) {
			now := time.Now()
			some.scanned = scan(l, from, own, most, func(s *session) {
				some.all = append(some.all, describe(s, now))
			})
			return some
		})
		if err != nil {
			return page, err
		}
		page.Clients = append(page.Clients, found.all...)
		if at.slot = found.next; found.done {
			at = position{loop: at.loop + 1}
		}
		if int(at.loop) == len(c.g.loops) {
			return page, nil
		}
		if time.Now().After(end) {
			break
		}
	}
	page.Next = at.String()
	return page, nil
}

// someClients are the clients that one turn of a walk has found.
type someClients struct {
	scanned
	all []ClientInfo // bound: none, scanTakes
}

// ClientDetail describes a client in full.
type ClientDetail struct {
	ClientInfo
	GroupNames []string // in order
	Attrs      int      // number of attributes
	AttrBytes  int      // their keys and values, and 16 B for each
}

// Client describes a client. The error is ErrNoClient if it is not connected to this gateway.
func (c *Control) Client(ctx context.Context, id string) (detail ClientDetail, err error) {
	target := Target{Client: id}
	own, err := target.check()
	if err != nil {
		return detail, err
	}
	l, err := c.holder(own)
	if err != nil {
		return detail, err
	}
	found, err := on(ctx, l, func(l *loop) *ClientDetail {
		s := l.session(own.Slot(), own.Token())
		if s == nil || s.phase != phaseOpen {
			return nil
		}
		attrs := s.member.Attrs()
		return &ClientDetail{ClientInfo: describe(s, time.Now()), GroupNames: slices.Collect(s.member.Groups()),
			Attrs: len(attrs), AttrBytes: link.AttributesSize(attrs)}
	})
	switch {
	case err != nil:
		return detail, err
	case found == nil:
		return detail, ErrNoClient
	}
	slices.Sort(found.GroupNames)
	return *found, nil
}

// describe describes a client.
func describe(s *session, now time.Time) ClientInfo {
	c := ClientInfo{
		ID: s.member.ID.String(), Addr: s.remote(), Listener: s.lis.URL, UID: s.member.UID(),
		Pending: s.delivery.Entry() == delivery.Pending, Groups: s.member.GroupCount(),
		UnackedBytes: s.delivery.UnackedBytes(), OutputBytes: s.conn.Buffered(),
		Slow:      engine.IsSlow(s.conn),
		Since:     now.Add(-time.Duration(s.loop.uptime-s.since) * time.Second),
		LastHeard: now.Add(-time.Duration(s.loop.uptime-s.delivery.Note) * time.Second),
	}
	c.QueuedMessages, c.QueuedBytes = s.delivery.Queued()
	if k := s.link(); k != nil {
		c.Worker, c.WorkerID = k.hello.Name, fmt.Sprintf("%x", k.hello.ID)
	}
	return c
}

// filter is a ClientFilter.
type filter struct{ ClientFilter }

func newFilter(f ClientFilter) *filter {
	f.Addr = f.Addr.Masked()
	return &filter{f}
}

// anyOn reports false if no client of the loop fits.
func (f *filter) anyOn(l *loop) bool {
	return (f.UID == "" || l.members.HasUID(f.UID)) && (f.Group == "" || l.members.HasGroup(f.Group))
}

// cost is what fits costs, in slots.
func (f *filter) cost(s *session) int {
	if f.Group == "" {
		return 0
	}
	return s.member.GroupCount() / 16
}

// fits reports whether the client fits the filter.
func (f *filter) fits(s *session) bool {
	switch {
	case f.UID != "" && s.member.UID() != f.UID,
		f.Listener != "" && s.lis.URL != f.Listener,
		f.Slow && !engine.IsSlow(s.conn),
		f.Group != "" && !s.loop.members.InGroup(&s.member, f.Group):
		return false
	case !f.Addr.IsValid() && f.Port == 0:
		return true
	}
	addr, err := netip.ParseAddrPort(s.remote())
	return err == nil && (!f.Addr.IsValid() || f.Addr.Contains(addr.Addr())) &&
		(f.Port == 0 || f.Port == addr.Port())
}

// position is where a walk continues.
type position struct {
	loop uint8
	slot uint32
}

// String returns the position as a cursor.
func (p position) String() string {
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint32([]byte{p.loop}, p.slot))
}

// parseCursor returns the position of a cursor. An empty cursor is the start.
func parseCursor(s string) (p position, err error) {
	if s == "" {
		return p, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != 5 {
		return p, ErrTarget
	}
	return position{b[0], binary.BigEndian.Uint32(b[1:])}, nil
}
