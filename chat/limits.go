package chat

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/seed-7410fe32/sluice/worker"
	"github.com/seed-7410fe32/sluice/worker/store"
)

// Requests are counted in token buckets: of a user, of an address and of a room. A bucket belongs
// to the worker that counts. It outlives a connection, so reconnecting does not fill it.

// limit is the size of a bucket, in requests, and how many are allowed each second.
type limit struct{ burst, rate int }

var (
	userLimit = limit{10, 5}
	roomLimit = limit{400, 40} // messages of all users; twice the limit of an address
)

const (
	addressRate  = 20 // requests of an address in a second
	addressBurst = 10 // seconds in which an address that was quiet may make its requests at once
	maxRefusals  = 50 // requests of a client that come too fast until it is closed
)

// limits counts requests.
type limits struct {
	rates       store.Store
	start       time.Time // rates are relative to it, so that clock changes have no effect
	addressRate int       // see Config
}

func newLimits(addressRate int) (*limits, error) {
	rates, err := store.NewMemory(store.MemoryConfig{MaxBytes: 8 << 20, TTL: time.Minute})
	return &limits{rates, time.Now(), addressRate}, err
}

// allowed reports whether a request is not too fast for the client and its address. A client that
// goes on in spite of maxRefusals refusals is closed.
func (l *limits) allowed(ctx context.Context, c worker.Call) bool {
	user, id := c.UID(), c.ID()
	if user == "" {
		user = string(id[:])
	}
	if !l.take(ctx, "user:"+user, userLimit) {
		if l.refusals(ctx, string(id[:])) >= maxRefusals {
			send(c, problem("too_many", "too many requests: closing the connection"))
			c.Close()
		}
		return false
	}
	address := address(c)
	return address == "" || l.addressRate < 0 ||
		l.take(ctx, "address:"+address, limit{l.addressRate * addressBurst, l.addressRate})
}

// take takes one request from a bucket. If the store has forgotten the bucket, it is full.
func (l *limits) take(ctx context.Context, key string, b limit) bool {
	ok := false
	refill := int64(time.Second) / int64(b.rate)
	err := l.rates.Update(ctx, key, func(old []byte) ([]byte, error) {
		now := int64(time.Since(l.start))
		// The stored value is the time at which the bucket will be full again.
		full := now
		if len(old) == 8 {
			full = max(now, int64(binary.BigEndian.Uint64(old)))
		}
		full += refill
		if ok = full-now <= int64(b.burst)*refill; !ok {
			return old, nil
		}
		return binary.BigEndian.AppendUint64(nil, uint64(full)), nil
	})
	return ok || err != nil
}

// refusals counts a refused request of a client, and returns how many there were. A minute without
// one begins anew.
func (l *limits) refusals(ctx context.Context, id string) (n int) {
	_ = l.rates.Update(ctx, "refused:"+id, func(old []byte) ([]byte, error) {
		n = 1
		if len(old) == 1 {
			n += int(old[0])
		}
		return []byte{byte(min(n, 255))}, nil
	})
	return n
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
