package chat

import (
	"context"
	"strings"
	"time"

	"github.com/seed-7410fe32/sluice/chat/store"
	"github.com/seed-7410fe32/sluice/worker"
)

// Requests are counted in token buckets of users and addresses, which outlive connections. Each
// worker has such buckets for all requests, so that it can refuse them without asking anybody. The
// store has them too, and those of rooms, for the requests that change something. So nobody evades
// a limit by a connection to another worker.

const (
	addressRate  = 20 // requests of an address in a second
	addressBurst = 10 // seconds in which an address that was quiet may make its requests at once
	maxRefusals  = 50 // requests of a client that come too fast until it is closed
)

// limits counts requests.
type limits struct {
	buckets     *store.Buckets
	addressRate int // see Config
}

func newLimits(addressRate int) (*limits, error) {
	buckets, err := store.NewBuckets(time.Minute)
	return &limits{buckets, addressRate}, err
}

// allowed reports whether a request is not too fast for the client and its address. A client that
// goes on in spite of maxRefusals refusals is closed. A minute without one begins anew.
func (l *limits) allowed(ctx context.Context, c worker.Call) bool {
	id := c.ID().String()
	for _, limit := range l.ofUser(c) {
		if l.buckets.Take(ctx, limit) {
			continue
		}
		if strings.HasPrefix(limit.Key, "user:") && l.buckets.Count(ctx, "refused:"+id) >= maxRefusals {
			send(c, problem("too_many", "too many requests: closing the connection"))
			c.CloseCode(1008, "too many requests")
		}
		return false
	}
	return true
}

// ofUser returns the limits of the client's user and address.
func (l *limits) ofUser(c worker.Call) []store.Limit {
	user := c.UID()
	if user == "" {
		user = c.ID().String()
	}
	return append([]store.Limit{{Key: "user:" + user, Burst: 10, Every: time.Second / 5}}, l.ofAddress(c)...)
}

// ofAddress returns the limit of the client's address, if there is one.
func (l *limits) ofAddress(c worker.Call) []store.Limit {
	a := address(c)
	if a == "" || l.addressRate < 0 {
		return nil
	}
	every := time.Second / time.Duration(l.addressRate)
	return []store.Limit{{Key: "address:" + a, Burst: l.addressRate * addressBurst, Every: every}}
}

// ofPeople returns the limit of the people whom the client's address makes, so that nobody makes so
// many that the store forgets others.
func (l *limits) ofPeople(c worker.Call) []store.Limit {
	a := address(c)
	if a == "" || l.addressRate < 0 {
		return nil
	}
	return []store.Limit{{Key: "people:" + a, Burst: 1000, Every: 7 * time.Second}}
}

// ofRoom returns the limits of a message to a room. The room's is that of all users: twice the
// limit of an address.
func (l *limits) ofRoom(c worker.Call, room string) []store.Limit {
	return append(l.ofUser(c), store.Limit{Key: group(room), Burst: 400, Every: time.Second / 40})
}

// author returns what stands for the author of a message in a room's history: the address or, if it
// is not known, the uid, because a user gets a new uid easily.
func author(c worker.Call) string {
	if a := address(c); a != "" {
		return a
	}
	return c.UID()
}

// address returns what stands for the client's address in limits: an IPv4 address, or the network
// of 64 bits of an IPv6 address, because a computer has all addresses of such a network. It is
// empty if the address is not known.
func address(c worker.Call) string {
	a := c.RemoteAddr().Addr().Unmap()
	if !a.IsValid() {
		return ""
	}
	if a.Is6() {
		network, _ := a.Prefix(64) // valid for each IPv6 address
		a = network.Addr()
	}
	return a.String()
}
