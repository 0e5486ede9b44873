package keep

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/seed-7410fe32/sluice/internal/kv"
	"github.com/seed-7410fe32/sluice/internal/stats"
	"github.com/seed-7410fe32/sluice/internal/valid"
)

const (
	fileName = "stats.db"
	bucket   = "stats"
	// together is the time within which reports share one write to the disk.
	together = time.Second
	// maxWaiting bounds the reports that wait for the disk.
	maxWaiting = 1024
	// maxWaitingBytes bounds what one write takes.
	maxWaitingBytes = 8 << 20
)

// MinBytes is the least Config.MaxBytes.
const MinBytes = 16 << 20

// ErrClosed is returned by Take when the Keeper is closed.
var ErrClosed = errors.New("keep: closed")

// Config configures a Keeper. Zero selects the default of a number, and a negative number is an
// error.
type Config struct {
	// MaxBytes bounds the file, or the memory. A fifth is for rows of minutes, two fifths are for
	// those of five minutes, and a fifth is for failures; the rest is what a file loses. Past that
	// the oldest of the kind are removed. Defaults to 256 MiB in a file and 32 MiB in memory, and is
	// at least 16 MiB.
	MaxBytes int
	// Logger is the log. Defaults to slog.Default().
	Logger *slog.Logger
}

// Keeper keeps statistics. Any goroutine may call its methods.
type Keeper struct {
	// Static after New or Open.
	store kv.Store
	log   *slog.Logger
	max   int64
	path  string           // of the file; empty: in memory
	now   func() time.Time // the clock
	every time.Duration    // between two writes to the disk; 0 in memory

	waiting chan *waiting // Take waits while it is full; bound: reports that wait to be kept
	ended   chan struct{} // closed when the last report is on the disk

	mu     sync.RWMutex // held for reading while something is sent to waiting
	closed bool         // guarded by mu

	told teller
	state
}

// waiting is a report that waits for the disk.
type waiting struct {
	report *stats.Report
	size   int // in memory, about
	err    error
	done   chan struct{}
}

// New returns a Keeper in the memory of this process, which keeps the last hour. Close it.
func New(cfg Config) (*Keeper, error) {
	if err := cfg.setDefaults(32 << 20); err != nil {
		return nil, err
	}
	k := newKeeper(cfg, "")
	k.minutes.keep, k.fives.keep, k.failures.keep = time.Hour, time.Hour, time.Hour
	k.store = kv.NewMemory()
	if err := k.prepare(); err != nil {
		return nil, err
	}
	go k.run()
	return k, nil
}

// Open returns a Keeper in the file stats.db of a directory, which is made if there is none. It
// keeps rows of minutes for a day, and rows of five minutes and failures for 14 days. A file that
// is damaged is renamed to stats.db.damaged, and a new one is made. A file that another process
// uses is an error. Close the Keeper.
func Open(dir string, cfg Config) (*Keeper, error) {
	if err := cfg.setDefaults(256 << 20); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, fileName)
	k, err := open(cfg, path)
	if errors.Is(err, kv.ErrDamaged) {
		aside := path + ".damaged"
		if err := os.Rename(path, aside); err != nil {
			return nil, fmt.Errorf("statistics: the file is damaged: %w", err)
		}
		cfg.Logger.Error("the statistics are damaged: they begin again, and the old file was renamed", "file", aside,
			"err", err)
		k, err = open(cfg, path)
	}
	if err != nil {
		return nil, fmt.Errorf("statistics: %w", err)
	}
	go k.run()
	return k, nil
}

// open opens the file at a path. The Keeper does not run yet.
func open(cfg Config, path string) (*Keeper, error) {
	k := newKeeper(cfg, path)
	var err error
	k.store, err = kv.Open(kv.Config{Path: path, Bucket: bucket, Fill: 0.9, Visit: k.load})
	if err != nil {
		return nil, err
	}
	if k.damaged != nil {
		return nil, errors.Join(fmt.Errorf("%s %w: %w", path, kv.ErrDamaged, k.damaged), k.store.Close())
	}
	if err := k.prepare(); err != nil {
		return nil, errors.Join(err, k.store.Close())
	}
	return k, nil
}

func (c *Config) setDefaults(maxBytes int) error {
	if field, err := valid.Numbers(c); err != nil {
		return fmt.Errorf("statistics: Config.%s: %w", field, err)
	}
	c.MaxBytes = cmp.Or(c.MaxBytes, maxBytes)
	if c.MaxBytes < MinBytes {
		return fmt.Errorf("statistics: Config.MaxBytes: %d: must be at least %d", c.MaxBytes, MinBytes)
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return nil
}

func newKeeper(cfg Config, path string) *Keeper {
	k := &Keeper{
		log: cfg.Logger, max: int64(cfg.MaxBytes), path: path, now: time.Now,
		waiting: make(chan *waiting, maxWaiting), ended: make(chan struct{}), told: newTeller(),
	}
	if path != "" {
		k.every = together
	}
	k.state = newState(k.max)
	return k
}

// prepare checks the format of what is stored.
func (k *Keeper) prepare() error {
	err := k.store.Update(context.Background(), func(t kv.Tx) error {
		if have := t.Get([]byte{keyVersion}); have != nil && string(have) != format {
			return fmt.Errorf("the statistics have version %q, and this program needs version %s", have, format)
		}
		t.Put([]byte{keyVersion}, []byte(format))
		return nil
	})
	if k.clock == 0 {
		k.clock = minuteOf(k.now())
	}
	return err
}

// Take keeps a report. It returns nil when the report is kept, on the disk if there is a file, or
// was kept before. After an error the report may be given again; it may have been kept.
func (k *Keeper) Take(ctx context.Context, r *stats.Report) error {
	w := &waiting{report: r, size: sizeOf(r), done: make(chan struct{})}
	k.mu.RLock()
	if k.closed {
		k.mu.RUnlock()
		return ErrClosed
	}
	select {
	case k.waiting <- w:
		k.mu.RUnlock()
	case <-ctx.Done():
		k.mu.RUnlock()
		return ctx.Err()
	}
	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sizeOf is about how many bytes a report has in memory.
func sizeOf(r *stats.Report) int {
	n := len(r.Rows) * 4 << 10
	for i := range r.Failures {
		n += 200 + len(r.Failures[i].Text)
	}
	return n
}

// Close keeps the reports that wait, and closes the file.
func (k *Keeper) Close() error {
	k.mu.Lock()
	if k.closed {
		k.mu.Unlock()
		return nil
	}
	k.closed = true
	close(k.waiting)
	k.mu.Unlock()
	<-k.ended
	return k.store.Close()
}

// run writes the reports that wait, at most once in a time, until the Keeper is closed. It also
// removes what is too old.
func (k *Keeper) run() {
	defer close(k.ended)
	sweep := time.NewTicker(time.Minute)
	defer sweep.Stop()
	var last time.Time
	for {
		var batch []*waiting
		select {
		case w, ok := <-k.waiting:
			if !ok {
				return
			}
			batch = k.gather(w, time.Until(last.Add(k.every)))
			last = time.Now()
		case <-sweep.C:
		}
		k.commit(batch)
	}
}

// gather returns the report, and those that come until d has passed or there are many.
func (k *Keeper) gather(first *waiting, d time.Duration) []*waiting {
	batch, size := []*waiting{first}, first.size
	until := time.NewTimer(max(d, 0))
	defer until.Stop()
	var due bool
	for len(batch) < maxWaiting && size < maxWaitingBytes {
		if due {
			select {
			case w, ok := <-k.waiting:
				if !ok {
					return batch
				}
				batch, size = append(batch, w), size+w.size
				continue
			default:
				return batch
			}
		}
		select {
		case w, ok := <-k.waiting:
			if !ok {
				return batch
			}
			batch, size = append(batch, w), size+w.size
		case <-until.C:
			due = true
		}
	}
	return batch
}

// commit writes reports to the disk, and removes what is too old. No reports: a minute has passed.
func (k *Keeper) commit(batch []*waiting) {
	c := newChange(k)
	if len(batch) == 0 && c.minute > c.clock {
		c.clock = min(c.minute, c.clock+maxCatchUp)
	}
	err := k.store.Update(context.Background(), func(t kv.Tx) error {
		for _, w := range batch {
			if err := c.take(t, w.report); err != nil {
				return err
			}
		}
		if err := c.merge(t); err != nil {
			return err
		}
		c.write(t)
		c.trim(t)
		return nil
	})
	if err != nil {
		k.failed(err)
		err = fmt.Errorf("statistics not written: %w", err)
	} else {
		c.adopt()
	}
	for _, w := range batch {
		w.err = err
		close(w.done)
	}
}
