package redisdir_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/directory"
	"github.com/seed-7410fe32/sluice/internal/directory/redisdir"
	"github.com/seed-7410fe32/sluice/internal/redistest"
)

// healing is the promise: a directory answers again that soon after its server does.
const healing = 10 * time.Second

// impatient opens a client with the Timeout of the program.
func impatient(t *testing.T, url string) *redisdir.Directory {
	t.Helper()
	d, err := redisdir.New(redisdir.Config{URL: url, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// hold keeps a row with a lease that outlives an outage, and fails the test if it is lost.
func hold(t *testing.T, d directory.Rows, key string) *directory.Lease {
	t.Helper()
	l, err := directory.Acquire(t.Context(), d, directory.LeaseConfig{
		Key: key, Owner: "owner of " + key, Lease: 2 * time.Minute, Value: []byte("value"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Release(context.Background()) })
	return l
}

// healed waits until the directory is up, and fails if that takes longer than promised.
func healed(t *testing.T, d *redisdir.Directory) {
	t.Helper()
	began := time.Now()
	await(t, "up again", func() bool { return d.State().Up })
	if took := time.Since(began); took > healing {
		t.Errorf("up %v after the server", took)
	}
}

// During an outage of each kind calls fail, at once as soon as it is known, the State says since
// when, and everything heals by itself. What is lost comes back.
func TestOutages(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]struct {
		begin, end func(*redistest.Server)
		lost       bool
	}{
		"killed": {(*redistest.Server).Kill, (*redistest.Server).Restart, true},
		"frozen": {(*redistest.Server).Pause, (*redistest.Server).Resume, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			d := impatient(t, "redis://"+s.Addr)
			await(t, "up", func() bool { return d.State().Up })
			row, err := d.Claim(t.Context(), "room/1", "a", 5*time.Minute, []byte("v"))
			if err != nil {
				t.Fatal(err)
			}
			before := d.State()
			o.begin(s)
			began := time.Now()
			await(t, "down", func() bool { return !d.State().Up })
			if st := d.State(); st.Since.Before(began) || st.Generation != before.Generation {
				t.Errorf("%+v, the outage began at %v", st, began)
			}
			began = time.Now()
			for range 1000 {
				if err := d.Renew(t.Context(), "room/1", "a", row.Epoch, time.Minute); !errors.Is(err, directory.ErrUnavailable) {
					t.Fatalf("renewal during the outage: %v", err)
				}
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("a thousand calls that should fail at once took %v", took)
			}
			if st := d.Stats(); st.Refused < 900 || st.Outages != 1 {
				t.Errorf("%+v", st)
			}
			o.end(s)
			healed(t, d)
			switch err := d.Renew(t.Context(), "room/1", "a", row.Epoch, time.Minute); {
			case o.lost:
				if !errors.Is(err, directory.ErrNone) || d.State().Generation == before.Generation {
					t.Errorf("after the loss: %v, generation %q after %q", err, d.State().Generation, before.Generation)
				}
			case err != nil || d.State().Generation != before.Generation:
				t.Errorf("without a loss: %v, generation %q after %q", err, d.State().Generation, before.Generation)
			}
		})
	}
}

// Lost data is no outage.
func TestLossIsNoOutage(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	d := impatient(t, "redis://"+s.Addr)
	await(t, "up", func() bool { return d.State().Up })
	before := d.State()
	s.Do("flushall")
	await(t, "another generation", func() bool { return d.State().Generation != before.Generation })
	if st := d.Stats(); st.Outages != 0 || st.Generations != 1 {
		t.Errorf("%+v", st)
	}
}

// If the server is back and refuses the user, the log says so: the first error of the outage was
// another one.
func TestRefusalIsLogged(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	var log logBuffer
	d, err := redisdir.New(redisdir.Config{URL: "redis://" + s.Addr, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	await(t, "up", func() bool { return d.State().Up })
	s.Do("config", "set", "requirepass", "secret")
	if _, err := s.Try("--pass", "secret", "client", "kill", "type", "normal"); err != nil {
		t.Fatal(err)
	}
	await(t, "the refusal in the log", func() bool { return strings.Contains(log.String(), "NOAUTH") })
	if err := d.State().Err; err == nil || !strings.Contains(err.Error(), "NOAUTH") {
		t.Errorf("the state says %v", err)
	}
	refusals := strings.Count(log.String(), "NOAUTH")
	if _, err := s.Try("--pass", "secret", "config", "set", "requirepass", ""); err != nil {
		t.Fatal(err)
	}
	healed(t, d)
	if text := log.String(); refusals != 1 || strings.Count(text, "NOAUTH") != 1 {
		t.Errorf("logged more than once:\n%s", text)
	}
}

// A URL of a Cluster for a server that is none, and the reverse, is refused, and the error says
// what to write.
func TestFormOfURL(t *testing.T) {
	t.Parallel()
	for url, says := range map[string]string{
		"redis+cluster://" + redistest.Start(t).Addr:             "write redis:// instead",
		"redis://" + redistest.Cluster(t).Servers[0].Addr + "/0": "write redis+cluster://",
	} {
		var log logBuffer
		d, err := redisdir.New(redisdir.Config{URL: url, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(d.Close)
		await(t, "the log says it", func() bool { return strings.Contains(log.String(), says) })
		if st := d.State(); st.Up || !strings.Contains(st.Err.Error(), says) {
			t.Errorf("%s: %+v", url, st)
		}
	}
}

// logBuffer is a log that any goroutine may write and read.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder // guarded by mu; bound: none, of one test
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// String implements fmt.Stringer.
func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// A directory that is not there at the start is used as soon as it is.
func TestStartsWithoutRedis(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	s.Kill()
	d := impatient(t, "redis://"+s.Addr)
	if st := d.State(); st.Up || st.Generation != "" || st.Since.IsZero() {
		t.Errorf("%+v", st)
	}
	_, err := d.List(t.Context(), "gateway/")
	if !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	s.Restart()
	healed(t, d)
	use(t, d)
}

// Scripts that a server has forgotten are taught again.
func TestScriptsAreTaught(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	d := connect(t, redisdir.Config{URL: "redis://" + s.Addr})
	use(t, d)
	s.Do("script", "flush")
	use(t, d)
}

// A server without memory says so, and rows that are there can be read.
func TestFull(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	d := connect(t, redisdir.Config{URL: "redis://" + s.Addr})
	row, err := d.Claim(t.Context(), "room/1", "a", time.Minute, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Do("config", "set", "maxmemory", "1mb")
	if _, err := d.Claim(t.Context(), "room/2", "a", time.Minute, nil); !errors.Is(err, directory.ErrFull) {
		t.Errorf("claim: %v", err)
	}
	if !d.State().Up {
		t.Error("a full server answers")
	}
	if got, err := d.Get(t.Context(), "room/1"); err != nil || got.Epoch != row.Epoch {
		t.Errorf("%+v, %v", got, err)
	}
	s.Do("config", "set", "maxmemory", "0")
	if err := d.Release(t.Context(), "room/1", "a", row.Epoch); err != nil {
		t.Error(err)
	}
}

// When a replica takes over, calls go to it, and the generation says that writes may be lost.
func TestFailOver(t *testing.T) {
	t.Parallel()
	w := redistest.Sentinel(t, 2)
	d := impatient(t, fmt.Sprintf("redis+sentinel://%s,%s,%s/%s", w.Sentinels[0].Addr, w.Sentinels[1].Addr,
		w.Sentinels[2].Addr, w.Name))
	await(t, "up", func() bool { return d.State().Up })
	l := hold(t, d, "room/1")
	saw := make(chan []directory.Row, 100)
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() { _ = d.Watch(ctx, "room/", func(rows []directory.Row) { saw <- rows }) })
	defer watching.Wait()
	defer cancel()
	if rows := <-saw; len(rows) != 1 {
		t.Errorf("watched %+v", rows)
	}
	w.Servers[0].Do("wait", "1", "20000") // the replica has the row
	generation, first := d.State().Generation, w.Primary()
	first.Kill()
	w.AwaitPrimary(first)
	healed(t, d)
	await(t, "another generation", func() bool { return d.State().Generation != generation })
	await(t, "a value is written", func() bool { return l.Put(t.Context(), []byte("after")) == nil })
	if !l.Held() {
		t.Errorf("the lease is lost: %v", l.Err())
	}
	for rows := range saw {
		if len(rows) == 1 && string(rows[0].Value) == "after" {
			break
		}
	}
}

// While a slot of a Cluster moves, rows of it can be used, and owners stay the only ones.
func TestSlotsMove(t *testing.T) {
	t.Parallel()
	n := redistest.Cluster(t)
	d := connect(t, redisdir.Config{URL: "redis+cluster://" + n.Servers[0].Addr})
	other := connect(t, redisdir.Config{URL: "redis+cluster://" + n.Servers[1].Addr})
	const key = "room/1"
	l := hold(t, d, key)
	from, slot := n.Owner("sluice:row:" + key)
	to := (from + 1) % 3
	var stop atomic.Bool
	var puts atomic.Int64
	var using sync.WaitGroup
	using.Go(func() {
		for i := 0; !stop.Load(); i++ {
			if err := l.Put(t.Context(), fmt.Append(nil, i)); err != nil {
				t.Errorf("put %d while the slot moves: %v", i, err)
				return
			}
			puts.Add(1)
			if _, err := other.Claim(t.Context(), key, "b", time.Minute, nil); !errors.Is(err, directory.ErrHeld) {
				t.Errorf("another's claim while the slot moves: %v", err)
				return
			}
		}
	})
	more := func() {
		t.Helper()
		for target := puts.Load() + 10; puts.Load() < target && !t.Failed(); time.Sleep(time.Millisecond) {
			continue
		}
	}
	more()
	n.Begin(slot, from, to)
	more()
	n.Finish(slot, from, to)
	more()
	stop.Store(true)
	using.Wait()
	if !l.Held() {
		t.Errorf("lost: %v", l.Err())
	}
	row, err := other.Get(t.Context(), key)
	if err != nil || string(row.Value) != fmt.Sprint(puts.Load()-1) {
		t.Errorf("%d puts, the row is %+v, %v", puts.Load(), row, err)
	}
}

// A Directory that is closed leaves nothing behind, also while its server does not answer.
func TestCloseDuringAnOutage(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	d := impatient(t, "redis://"+s.Addr)
	await(t, "up", func() bool { return d.State().Up })
	ended := make(chan error, 1)
	go func() { ended <- d.Watch(t.Context(), "room/", func([]directory.Row) {}) }()
	s.Pause()
	began := time.Now()
	d.Close()
	if err := <-ended; !errors.Is(err, directory.ErrUnavailable) {
		t.Error(err)
	}
	if took := time.Since(began); took > healing {
		t.Errorf("closing took %v", took)
	}
	s.Resume()
}

// A row of a Cluster can be kept while the node of its index does not answer.
func TestIndexIsNotNeeded(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	d := connect(t, redisdir.Config{URL: "redis://" + s.Addr})
	row, err := d.Claim(t.Context(), "room/1", "a", time.Minute, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Do("set", "sluice:index:room", "of another type")
	if err := d.Renew(t.Context(), "room/1", "a", row.Epoch, time.Minute); err != nil {
		t.Errorf("renewal: %v", err)
	}
	if _, err := d.Put(t.Context(), "room/1", "a", row.Epoch, 0, nil); err != nil {
		t.Errorf("put: %v", err)
	}
	if err := d.Release(t.Context(), "room/1", "a", row.Epoch); err != nil {
		t.Errorf("release: %v", err)
	}
	if _, err := d.List(t.Context(), "room/"); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("list: %v", err)
	}
}
