package directory

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-7410fe32/sluice/internal/valid"
)

// MemoryConfig configures a Memory. The zero value is usable.
type MemoryConfig struct {
	// MaxRows bounds the rows, and the sets, free ones included until Keep is over. Defaults to
	// 1,048,576.
	MaxRows int
	// MaxBytes bounds the keys, owners and values of all rows. Defaults to 256 MiB.
	MaxBytes int
	// Keep is how long a free row stays. Defaults to Keep, an hour.
	Keep time.Duration
	// EntryTTL is how long a gateway is in a set after its last Enter. Defaults to EntryTTL, 30
	// minutes.
	EntryTTL time.Duration
	// Now is the clock. Defaults to time.Now, whose times have a monotonic reading.
	Now func() time.Time
}

// Memory is a directory for one gateway, in its memory. It is always up, and its generation is that
// of the process. Everything in it is gone when the process ends.
type Memory struct {
	cfg   MemoryConfig
	start time.Time
	base  uint64 // microseconds of the wall clock at start
	done  chan struct{}

	mu         sync.Mutex
	closed     bool
	kinds      map[string]*kind // bound: rows of a directory in memory
	rows       int              // of all kinds
	bytes      int              // of all rows
	kept       int              // rows and sets that were left by the last sweep
	epoch      uint64           // the largest that was given
	sets       map[Set]*set     // bound: sets of a directory in memory
	boxes      map[uint32]*box  // by gateway; bound: none, one for each gateway
	generation int
	since      time.Time
	changed    chan struct{} // closed when the generation changes
	stats      Stats
}

// kind has the rows of a kind.
type kind struct {
	rows    map[string]*row // by key; bound: rows of a directory in memory
	changed chan struct{}   // closed at the next change; nil while nobody waits
}

type row struct {
	owner          string
	epoch, version uint64
	value          []byte
	expires        time.Duration // since the directory's start; the row is free from then on
}

// NewMemory returns an empty directory.
func NewMemory(cfg MemoryConfig) (*Memory, error) {
	if field, err := valid.Numbers(cfg); err != nil {
		return nil, fmt.Errorf("directory: MemoryConfig.%s: %w", field, err)
	}
	if cfg.MaxRows == 0 {
		cfg.MaxRows = 1 << 20
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 256 << 20
	}
	if cfg.Keep == 0 {
		cfg.Keep = Keep
	}
	if cfg.EntryTTL == 0 {
		cfg.EntryTTL = EntryTTL
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	start := cfg.Now()
	return &Memory{
		cfg: cfg, start: start, base: uint64(start.UnixMicro()), since: start, done: make(chan struct{}),
		kinds: make(map[string]*kind), sets: make(map[Set]*set), boxes: make(map[uint32]*box),
		changed: make(chan struct{}),
	}, nil
}

// now returns the time since the directory's start.
func (d *Memory) now() time.Duration { return d.cfg.Now().Sub(d.start) }

// begin locks the directory for a call about a key. The caller unlocks it, also after an error.
func (d *Memory) begin(ctx context.Context, n int) (time.Duration, error) {
	d.mu.Lock()
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if d.closed {
		d.stats.Refused++
		return 0, fmt.Errorf("%w: closed", ErrUnavailable)
	}
	d.stats.Commands += uint64(n)
	return d.now(), nil
}

// find returns a row and its kind, nil if there is none.
func (d *Memory) find(key string) (*kind, *row) {
	name, _, _ := strings.Cut(key, "/")
	k := d.kinds[name]
	if k == nil {
		return nil, nil
	}
	return k, k.rows[key]
}

// held returns the row if the owner holds it with that epoch.
func (d *Memory) held(key, owner string, epoch uint64, now time.Duration) (*kind, *row, error) {
	k, r := d.find(key)
	switch {
	case r == nil || now >= r.expires+d.cfg.Keep:
		return nil, nil, ErrNone
	case now >= r.expires || r.owner != owner || r.epoch != epoch:
		return nil, nil, ErrLost
	}
	return k, r, nil
}

func (r *row) answer(key string, now time.Duration) Row {
	a := Row{Key: key, Epoch: r.epoch, Version: r.version, Value: slices.Clone(r.value)}
	if now < r.expires {
		a.Owner, a.Left = r.owner, r.expires-now
	}
	return a
}

// change wakes those that watch the kind.
func (k *kind) change() {
	if k.changed != nil {
		close(k.changed)
		k.changed = nil
	}
}

// Claim implements Rows. It returns ErrFull if there is no room for the row or its value.
func (d *Memory) Claim(ctx context.Context, key, owner string, lease time.Duration, value []byte) (Row, error) {
	if err := CheckClaim(key, owner, lease, value); err != nil {
		return Row{}, err
	}
	now, err := d.begin(ctx, 1)
	defer d.mu.Unlock()
	if err != nil {
		return Row{}, err
	}
	k, r := d.find(key)
	if r != nil && now >= r.expires+d.cfg.Keep {
		d.remove(k, key)
		k, r = d.find(key)
	}
	if r != nil && now < r.expires && r.owner != owner {
		return r.answer(key, now), ErrHeld
	}
	fresh := r == nil
	if fresh {
		r = &row{}
	}
	size := len(owner) - len(r.owner)
	if fresh {
		size += len(key)
	}
	if value != nil {
		size += len(value) - len(r.value)
	}
	if !d.room(fresh, size, now) {
		return Row{}, ErrFull
	}
	if fresh {
		k = d.add(key, r)
	}
	d.bytes += size
	if fresh || now >= r.expires {
		d.epoch = max(d.epoch+1, d.base+uint64(now.Microseconds()))
		r.epoch = d.epoch
		k.change()
	}
	if value != nil {
		r.value, r.version = slices.Clone(value), r.version+1
		k.change()
	}
	r.owner, r.expires = owner, now+lease
	return r.answer(key, now), nil
}

// add adds a row that is new.
func (d *Memory) add(key string, r *row) *kind {
	name, _, _ := strings.Cut(key, "/")
	k := d.kinds[name]
	if k == nil {
		k = &kind{rows: make(map[string]*row)}
		d.kinds[name] = k
	}
	k.rows[key] = r
	d.rows++
	return k
}

func (d *Memory) remove(k *kind, key string) {
	r := k.rows[key]
	d.bytes -= len(key) + len(r.owner) + len(r.value)
	d.rows--
	delete(k.rows, key)
}

// room reports whether there is room for another row, and for size more bytes. It forgets what has
// expired when the rows and sets have doubled since it last did, or the room is used up.
func (d *Memory) room(another bool, size int, now time.Duration) bool {
	full := func() bool { return another && d.rows >= d.cfg.MaxRows || size > 0 && d.bytes+size > d.cfg.MaxBytes }
	if full() || d.rows+len(d.sets) > 2*d.kept+1024 {
		d.sweep(now)
	}
	return !full()
}

// sweep forgets the rows and sets that have expired.
func (d *Memory) sweep(now time.Duration) {
	for name, k := range d.kinds {
		for key, r := range k.rows {
			if now >= r.expires+d.cfg.Keep {
				d.remove(k, key)
			}
		}
		if len(k.rows) == 0 && k.changed == nil {
			delete(d.kinds, name)
		}
	}
	for name, s := range d.sets {
		if s.expire(now) {
			delete(d.sets, name)
		}
	}
	for of, b := range d.boxes {
		if now >= b.expires {
			delete(d.boxes, of)
		}
	}
	d.kept = d.rows + len(d.sets)
}

// Renew implements Rows.
func (d *Memory) Renew(ctx context.Context, key, owner string, epoch uint64, lease time.Duration) error {
	if err := CheckClaim(key, owner, lease, nil); err != nil {
		return err
	}
	now, err := d.begin(ctx, 1)
	defer d.mu.Unlock()
	if err != nil {
		return err
	}
	_, r, err := d.held(key, owner, epoch, now)
	if err != nil {
		return err
	}
	r.expires = now + lease
	return nil
}

// Put implements Rows. It returns ErrFull if there is no room for the value.
func (d *Memory) Put(ctx context.Context, key, owner string, epoch, version uint64, value []byte) (uint64, error) {
	if err := CheckClaim(key, owner, MaxLease, value); err != nil {
		return 0, err
	}
	now, err := d.begin(ctx, 1)
	defer d.mu.Unlock()
	if err != nil {
		return 0, err
	}
	k, r, err := d.held(key, owner, epoch, now)
	switch size := len(value); {
	case err != nil:
		return 0, err
	case r.version != version:
		return 0, ErrConflict
	case !d.room(false, size-len(r.value), now):
		return 0, ErrFull
	default:
		d.bytes += size - len(r.value)
	}
	r.value, r.version = slices.Clone(value), version+1
	k.change()
	return r.version, nil
}

// Release implements Rows.
func (d *Memory) Release(ctx context.Context, key, owner string, epoch uint64) error {
	if err := CheckClaim(key, owner, MaxLease, nil); err != nil {
		return err
	}
	now, err := d.begin(ctx, 1)
	defer d.mu.Unlock()
	if err != nil {
		return err
	}
	k, r, err := d.held(key, owner, epoch, now)
	if err != nil {
		return err
	}
	r.expires = now
	k.change()
	return nil
}

// Get implements Rows.
func (d *Memory) Get(ctx context.Context, key string) (Row, error) {
	if _, err := Kind(key); err != nil {
		return Row{}, err
	}
	now, err := d.begin(ctx, 1)
	defer d.mu.Unlock()
	if err != nil {
		return Row{}, err
	}
	_, r := d.find(key)
	if r == nil || now >= r.expires+d.cfg.Keep {
		return Row{}, ErrNone
	}
	return r.answer(key, now), nil
}

// State implements Directory.
func (d *Memory) State() State {
	d.mu.Lock()
	defer d.mu.Unlock()
	return State{Up: !d.closed, Since: d.since, Generation: fmt.Sprintf("memory %d.%d", d.base, d.generation)}
}

// Generation implements Directory.
func (d *Memory) Generation(context.Context) (string, error) {
	s := d.State()
	if !s.Up {
		return "", ErrUnavailable
	}
	return s.Generation, nil
}

// Changed implements Directory.
func (d *Memory) Changed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.changed
}

// Stats implements Directory.
func (d *Memory) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stats
}

// Close implements Directory.
func (d *Memory) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return
	}
	d.closed, d.since = true, d.cfg.Now()
	d.stats.Outages++
	close(d.done)
	close(d.changed)
	d.changed = make(chan struct{})
}
