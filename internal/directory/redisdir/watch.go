package redisdir

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-7410fe32/sluice/internal/backoff"
	"github.com/seed-7410fe32/sluice/internal/directory"
)

const (
	// maxChanges is how many changes a poll returns. If there are more, all rows are read.
	maxChanges = 1000
	// comparison is how often a Watch reads which rows there are, besides the changes.
	comparison = 5 * time.Minute
	// spread is the longest pause before a poll that a notice has caused, so that many watchers do not
	// poll at the same moment, and several changes need one poll.
	spread = 50 * time.Millisecond
)

func (d *Directory) index(kind string) string { return d.cfg.Prefix + ":index:" + kind }

func (d *Directory) channel(kind string) string { return d.cfg.Prefix + ":changed:" + kind }

// List implements directory.Rows.
func (d *Directory) List(ctx context.Context, prefix string) ([]directory.Row, error) {
	kind, err := directory.Kind(prefix)
	if err != nil {
		return nil, err
	}
	keys, err := d.keys(ctx, kind, prefix)
	if err != nil {
		return nil, err
	}
	rows, err := d.rows(ctx, keys)
	return slices.DeleteFunc(rows, func(r directory.Row) bool { return r.Owner == "" }), err
}

// keys returns the keys of rows that may be held, in order.
func (d *Directory) keys(ctx context.Context, kind, prefix string) (keys []string, err error) {
	client, err := d.server.up()
	if err != nil {
		return nil, err
	}
	ctx, cancel := d.server.bounded(ctx)
	defer cancel()
	d.server.commands.Add(1)
	names, err := client.Do(ctx, client.B().Zrangebyscore().Key(d.index(kind)).Min("1").Max("+inf").Build()).AsStrSlice()
	if err != nil {
		d.server.errors.Add(1)
		return nil, d.server.failure(err)
	}
	for _, name := range names {
		if strings.HasPrefix(name[1:], prefix) {
			keys = append(keys, name[1:])
		}
	}
	slices.Sort(keys)
	return keys, nil
}

// watch is a Watch that runs. It is owned by the goroutine of the caller.
type watch struct {
	d            *Directory
	kind, prefix string
	rows         map[string]directory.Row // held ones by key; bound: none, the rows of the prefix
	number       string                   // of the last change that is known; "-1": none
	generation   string                   // when number was learned
	compared     time.Time
	soon         map[string]time.Time // rows to be read when their leases expire; bound: none, as rows
}

// Watch implements directory.Rows.
func (d *Directory) Watch(ctx context.Context, prefix string, changed func([]directory.Row)) error {
	kind, err := directory.Kind(prefix)
	if err != nil {
		return err
	}
	d.watches.Add(1)
	defer d.watches.Add(^uint64(0))
	ctx, cancel := context.WithCancel(ctx)
	notices, done := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(done)
		d.listen(ctx, kind, notices)
	}()
	defer func() {
		cancel()
		<-done
	}()
	w := &watch{d: d, kind: kind, prefix: prefix, number: "-1", soon: make(map[string]time.Time)}
	for told := false; ; {
		state := d.Changed()
		news, err := w.poll(ctx)
		if err == nil && (news || !told) {
			changed(slices.SortedFunc(maps.Values(w.rows), func(a, b directory.Row) int {
				return strings.Compare(a.Key, b.Key)
			}))
			told = true
		}
		pause := time.NewTimer(interval*3/4 + rand.N(interval/2))
		select {
		case <-ctx.Done():
		case <-d.server.ctx.Done():
		case <-pause.C:
		case <-state:
		case <-notices:
			backoff.Sleep(ctx, rand.N(spread))
		}
		pause.Stop()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case d.server.ctx.Err() != nil:
			return errClosed
		}
	}
}

// listen writes to notices when something of the kind has changed, until ctx or the directory ends.
func (d *Directory) listen(ctx context.Context, kind string, notices chan<- struct{}) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.server.ctx, cancel)()
	for ctx.Err() == nil {
		if client := d.server.client.Load(); client != nil {
			subscribe := (*client).B().Subscribe().Channel(d.channel(kind)).Build()
			// Its error says that the connection has ended.
			_ = (*client).Receive(ctx, subscribe, func(rueidis.PubSubMessage) {
				select {
				case notices <- struct{}{}:
				default:
				}
			})
		}
		backoff.Sleep(ctx, interval/2+rand.N(interval))
	}
}

// poll brings rows up to date, and reports whether that changed them.
func (w *watch) poll(ctx context.Context) (news bool, err error) {
	if now := w.d.State().Generation; now != w.generation {
		w.number, w.generation = "-1", now
	}
	answers, err := w.d.server.run(ctx, call{poll, w.d.index(w.kind),
		[]string{w.number, strconv.Itoa(maxChanges), w.d.channel(w.kind)}})
	if err != nil {
		return false, err
	}
	fields, err := answers[0].ToArray()
	if err != nil || len(fields) < 2 {
		return false, errAnswer
	}
	number, err1 := fields[0].ToString()
	whole, err2 := fields[1].AsInt64()
	if errors.Join(err1, err2) != nil {
		return false, errAnswer
	}
	var keys []string
	for _, f := range fields[2:] {
		if key, err := f.ToString(); err == nil && strings.HasPrefix(key, w.prefix) {
			keys = append(keys, key)
		}
	}
	began := time.Now()
	if whole == 1 || w.rows == nil {
		news, err = w.readAll(ctx)
	} else {
		keys = append(keys, w.due(began)...)
		if time.Since(w.compared) > comparison {
			keys, err = w.compare(ctx, keys)
		}
		if err == nil {
			news, err = w.read(ctx, keys)
		}
	}
	if err != nil {
		w.number = "-1" // what was read in part is read again
		return false, err
	}
	w.number = number
	return news, nil
}

// due returns the rows whose leases have expired by now, as far as is known.
func (w *watch) due(now time.Time) (keys []string) {
	for key, at := range w.soon {
		if !now.Before(at) {
			keys = append(keys, key)
			delete(w.soon, key)
		}
	}
	return keys
}

// compare adds to keys those of rows that are known and not in the index, and the reverse.
func (w *watch) compare(ctx context.Context, keys []string) ([]string, error) {
	there, err := w.d.keys(ctx, w.kind, w.prefix)
	if err != nil {
		return nil, err
	}
	w.compared = time.Now()
	for _, key := range there {
		if _, known := w.rows[key]; !known {
			keys = append(keys, key)
		}
	}
	for key := range w.rows {
		if _, found := slices.BinarySearch(there, key); !found {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

func (w *watch) readAll(ctx context.Context) (news bool, err error) {
	rows, err := w.d.List(ctx, w.prefix)
	if err != nil {
		return false, err
	}
	all := make(map[string]directory.Row, len(rows))
	for _, r := range rows {
		all[r.Key] = r
	}
	news = w.rows == nil || !maps.EqualFunc(w.rows, all, same)
	w.rows, w.compared = all, time.Now()
	clear(w.soon)
	return news, nil
}

// read reads rows of which something may have changed. A row that is held is read again when its
// lease expires, because the index may not have it.
func (w *watch) read(ctx context.Context, keys []string) (news bool, err error) {
	rows, err := w.d.rows(ctx, keys)
	if err != nil {
		return false, err
	}
	for _, r := range rows {
		old, known := w.rows[r.Key]
		if r.Owner == "" {
			news = news || known
			delete(w.rows, r.Key)
			continue
		}
		if !known || !same(old, r) {
			news = true
			w.soon[r.Key] = time.Now().Add(r.Left)
		}
		w.rows[r.Key] = r
	}
	return news, nil
}

// same reports whether a watcher has seen a state of a row.
func same(a, b directory.Row) bool {
	return a.Owner == b.Owner && a.Epoch == b.Epoch && a.Version == b.Version
}
