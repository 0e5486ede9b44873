package membership

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"sync"
	"time"

	"github.com/seed-7410fe32/sluice/internal/backoff"
	"github.com/seed-7410fe32/sluice/internal/directory"
)

const (
	// Lease is how long a row stays when its gateway has gone.
	Lease = 10 * time.Second
	// beat is the time between two renewals. It is short because a renewal is how a gateway notices
	// that the directory has lost the row.
	beat = time.Second
	// giveUpAfter is how long Join waits for an id that another gateway holds: as long as a gateway
	// with this id that has crashed is remembered, and a little longer.
	giveUpAfter = Lease + 2*time.Second
	// firstRetry and lastRetry are the pauses of Join between attempts.
	firstRetry = 50 * time.Millisecond
	lastRetry  = time.Second
	// logEvery is how often Join logs that it waits.
	logEvery = 10 * time.Second
	// releaseWithin bounds the last call.
	releaseWithin = time.Second
)

// ErrTaken is returned by Join, and is the reason of Taken, when another gateway holds the id.
var ErrTaken = errors.New("membership: another gateway has the id")

// Config configures a Member. Name may be empty, the other fields are required.
type Config struct {
	Directory directory.Rows
	ID        uint32
	Name      string
	Logger    *slog.Logger
}

// Stats are figures of a Member.
type Stats struct {
	Leased    bool   // the last renewal has succeeded, less than a Lease ago
	Reclaimed uint64 // times that the row was lost and claimed again
}

// Member is a gateway that has a row. Any goroutine may call its methods.
type Member struct {
	// Static after Join.
	cfg   Config
	key   string
	owner string        // differs at each start
	wake  chan struct{} // the entry has changed; bound: none, one is enough
	taken chan struct{} // closed when another gateway has the id

	mu        sync.Mutex
	entry     Entry
	written   Entry     // the entry in the row
	epoch     uint64    // of the row
	renewed   time.Time // when the last call that succeeded was sent
	reclaimed uint64
	changed   chan struct{} // closed when the epoch changes
}

// Join leases an id. While the directory does not answer it waits, until ctx has ended; the error
// is then that of ctx. If another gateway holds the id, Join waits for the end of that lease,
// because the other one may have crashed. If it goes on to renew it, the error wraps ErrTaken.
func Join(ctx context.Context, cfg Config) (*Member, error) {
	m := &Member{
		cfg: cfg, key: key(cfg.ID), owner: rand.Text(), wake: make(chan struct{}, 1), taken: make(chan struct{}),
		entry: Entry{Name: cfg.Name}, changed: make(chan struct{}),
	}
	began := time.Now()
	var logged time.Time
	for failures := 1; ; failures++ {
		err := m.claim(ctx)
		switch {
		case err == nil:
			return m, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, directory.ErrInvalid), errors.Is(err, ErrTaken) && time.Since(began) > giveUpAfter:
			return nil, fmt.Errorf("id %d: %w", cfg.ID, err)
		case errors.Is(err, directory.ErrUnavailable):
			began = time.Now() // how long the id has been held is not known
		}
		if time.Since(logged) > logEvery {
			logged = time.Now()
			cfg.Logger.Warn("gateway waits for the lease of its id", "gateway", cfg.ID, "err", err)
		}
		wait := backoff.Delay(firstRetry, lastRetry, failures)
		backoff.Sleep(ctx, wait/2+mrand.N(wait/2))
	}
}

// claim takes the row and writes the entry.
func (m *Member) claim(ctx context.Context) error {
	m.mu.Lock()
	entry, epoch := m.entry, m.epoch
	m.mu.Unlock()
	sent := time.Now()
	row, err := m.cfg.Directory.Claim(ctx, m.key, m.owner, Lease, entry.encode())
	if errors.Is(err, directory.ErrHeld) {
		other, _ := parse(&row)
		return fmt.Errorf("%w: its name is %q and its address %q", ErrTaken, other.Name, other.Addr)
	}
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.entry.Rank == 0 {
		m.entry.Rank, entry.Rank = row.Epoch, row.Epoch // readers use the epoch meanwhile
	}
	m.written, m.renewed = entry, sent
	if row.Epoch != epoch {
		m.epoch = row.Epoch
		close(m.changed)
		m.changed = make(chan struct{})
		if epoch != 0 {
			m.reclaimed++
			m.cfg.Logger.Info("the gateway is in the directory again", "gateway", m.cfg.ID)
		}
	}
	return nil
}

// Epoch returns the epoch of the row, and a channel that is closed when it is another one because
// the row was lost and claimed again.
func (m *Member) Epoch() (epoch uint64, changed <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.epoch, m.changed
}

// Stats returns the figures.
func (m *Member) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Stats{Leased: time.Since(m.renewed) < Lease, Reclaimed: m.reclaimed}
}

// Taken returns a channel that is closed when another gateway has taken the id. That cannot happen
// while all keep to the leases.
func (m *Member) Taken() <-chan struct{} { return m.taken }

// Announce says where workers and other gateways connect. It does not wait for the directory.
func (m *Member) Announce(addr string) { m.change(func(e *Entry) { e.Addr = addr }) }

// Drain says that the gateway closes down. It does not wait for the directory.
func (m *Member) Drain() { m.change(func(e *Entry) { e.Draining = true }) }

// SetEntered sets the Entry's number. It does not wait for the directory.
func (m *Member) SetEntered(number uint64) { m.change(func(e *Entry) { e.Entered = number }) }

func (m *Member) change(f func(*Entry)) {
	m.mu.Lock()
	f(&m.entry)
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Run keeps the row until ctx ends, and then frees it.
func (m *Member) Run(ctx context.Context) {
	for {
		next := time.NewTimer(beat - beat/4 + mrand.N(beat/2))
		select {
		case <-ctx.Done():
		case <-m.wake:
		case <-next.C:
		}
		next.Stop()
		if ctx.Err() != nil {
			m.release(context.WithoutCancel(ctx))
			return
		}
		if errors.Is(m.renew(ctx), ErrTaken) {
			close(m.taken)
			<-ctx.Done()
			return
		}
	}
}

// renew renews the lease, or writes the entry if it has changed, or takes the row again if it was
// lost. An error other than ErrTaken is gone with the next attempt: the directory counts and logs
// its outages.
func (m *Member) renew(ctx context.Context) error {
	m.mu.Lock()
	epoch, same := m.epoch, m.entry == m.written
	m.mu.Unlock()
	if !same {
		return m.claim(ctx)
	}
	sent := time.Now()
	err := m.cfg.Directory.Renew(ctx, m.key, m.owner, epoch, Lease)
	switch {
	case err == nil:
		m.mu.Lock()
		m.renewed = sent
		m.mu.Unlock()
	case errors.Is(err, directory.ErrLost), errors.Is(err, directory.ErrNone):
		return m.claim(ctx)
	}
	return err
}

// release frees the row. If that fails, its lease expires.
func (m *Member) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, releaseWithin)
	defer cancel()
	epoch, _ := m.Epoch()
	_ = m.cfg.Directory.Release(ctx, m.key, m.owner, epoch)
}
