package membership_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/directory"
	"github.com/seed-7410fe32/sluice/internal/leaktest"
	"github.com/seed-7410fe32/sluice/internal/membership"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// world is a directory whose clock and faults a test sets.
type world struct {
	t              *testing.T
	directory.Rows // nil: what is not below is not called

	mu   sync.Mutex
	mem  *directory.Memory // guarded by mu
	now  time.Time         // guarded by mu
	down bool              // guarded by mu: nothing answers
	log  strings.Builder   // guarded by mu
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, now: time.Now()}
	w.lose()
	return w
}

// lose makes the directory lose everything.
func (w *world) lose() {
	w.pass(time.Millisecond) // so that epochs grow
	mem, err := directory.NewMemory(directory.MemoryConfig{Now: func() time.Time {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.now
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(mem.Close)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mem = mem
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) setDown(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
}

// rows returns the directory, or an error if it does not answer.
func (w *world) rows() (*directory.Memory, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down {
		return nil, directory.ErrUnavailable
	}
	return w.mem, nil
}

func (w *world) Claim(
	ctx context.Context, key, owner string, lease time.Duration, value []byte,
) (directory.Row, error) {
	mem, err := w.rows()
	if err != nil {
		return directory.Row{}, err
	}
	return mem.Claim(ctx, key, owner, lease, value)
}

func (w *world) Renew(ctx context.Context, key, owner string, epoch uint64, lease time.Duration) error {
	mem, err := w.rows()
	if err != nil {
		return err
	}
	return mem.Renew(ctx, key, owner, epoch, lease)
}

func (w *world) Release(ctx context.Context, key, owner string, epoch uint64) error {
	mem, err := w.rows()
	if err != nil {
		return err
	}
	return mem.Release(ctx, key, owner, epoch)
}

func (w *world) Watch(ctx context.Context, prefix string, changed func([]directory.Row)) error {
	w.mu.Lock()
	mem := w.mem
	w.mu.Unlock()
	return mem.Watch(ctx, prefix, changed)
}

// Write implements io.Writer, for the log.
func (w *world) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

func (w *world) logged(text string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Count(w.log.String(), text)
}

func (w *world) config(id uint32, name string) membership.Config {
	return membership.Config{Directory: w, ID: id, Name: name, Logger: slog.New(slog.NewTextHandler(w, nil))}
}

// join starts a member. stop ends it.
func (w *world) join(id uint32, name string) (m *membership.Member, stop func()) {
	w.t.Helper()
	m, err := membership.Join(w.t.Context(), w.config(id, name))
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { m.Run(ctx); close(ended) }()
	stop = sync.OnceFunc(func() {
		cancel()
		<-ended
	})
	w.t.Cleanup(stop)
	return m, stop
}

// list returns the names of the gateways that a worker finds, in order.
func (w *world) list() (names []string) {
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	membership.Watch(ctx, w, func(all []membership.Gateway) {
		for _, g := range all {
			names = append(names, g.Name)
		}
		cancel()
	}, func(err error) { w.t.Error(err) })
	return names
}

func (w *world) await(what string, done func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.t.Fatalf("it did not come to pass: %s\n%s", what, &w.log)
		}
	}
}

// A gateway is found when it listens, also while it drains, and not when it has ended.
func TestLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, _ := w.join(900, "a")
	b, stopB := w.join(7, "b")
	if got := w.list(); len(got) != 0 {
		t.Errorf("found before they listen: %v", got)
	}
	b.Announce("[::1]:2300")
	w.await("b", func() bool { return slices.Equal(w.list(), []string{"b"}) })
	a.Announce("10.0.0.1:2300")
	w.await("a has started first", func() bool { return slices.Equal(w.list(), []string{"a", "b"}) })
	b.Drain()
	w.await("b drains", func() bool {
		row, err := w.mem.Get(t.Context(), "gateway/7")
		return err == nil && strings.Contains(string(row.Value), `"draining":true`)
	})
	if got := w.list(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("a gateway that drains has clients, and is not found: %v", got)
	}
	stopB()
	if got := w.list(); !slices.Equal(got, []string{"a"}) {
		t.Errorf("found %v", got)
	}
	if s := a.Stats(); !s.Leased || s.Reclaimed != 0 {
		t.Errorf("%+v", s)
	}
}

// A gateway that has crashed is found until its lease has expired, and its id is not given before.
func TestCrash(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	crashed, err := membership.Join(t.Context(), w.config(5, "old")) // and no Run
	if err != nil {
		t.Fatal(err)
	}
	w.pass(membership.Lease - time.Millisecond)
	joined := make(chan *membership.Member)
	go func() {
		m, err := membership.Join(context.WithoutCancel(t.Context()), w.config(5, "new"))
		if err != nil {
			t.Error(err)
		}
		joined <- m
	}()
	w.await("it waits", func() bool { return w.logged("waits for the lease of its id") == 1 })
	select {
	case <-joined:
		t.Fatal("an id is given while its lease may be in use")
	default:
	}
	w.pass(time.Millisecond)
	m := <-joined
	before, _ := crashed.Epoch()
	if now, _ := m.Epoch(); now <= before {
		t.Errorf("epoch %d after %d", now, before)
	}
	if w.logged(`name is \"old\"`) == 0 {
		t.Error("the log does not say who has the id")
	}
}

// An id that a living gateway has is refused.
func TestTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.join(5, "first")
	if _, err := membership.Join(t.Context(), w.config(5, "second")); !errors.Is(err, membership.ErrTaken) {
		t.Errorf("%v", err)
	}
}

// A gateway that starts waits for the directory, for as long as it has to.
func TestStartWithoutDirectory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.setDown(true)
	ctx, cancel := context.WithCancel(t.Context())
	joined := make(chan error)
	go func() {
		_, err := membership.Join(ctx, w.config(5, "a"))
		joined <- err
	}()
	w.await("it waits", func() bool { return w.logged("waits for the lease of its id") == 1 })
	w.setDown(false)
	if err := <-joined; err != nil {
		t.Error(err)
	}
	w.setDown(true)
	go func() {
		_, err := membership.Join(ctx, w.config(6, "b"))
		joined <- err
	}()
	w.await("it waits", func() bool { return w.logged("waits for the lease of its id") == 2 })
	cancel()
	if err := <-joined; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// An outage that is longer than the lease, and the loss of all rows, take the row away. The gateway
// takes it again with its address and its place in the order, and with a larger epoch.
func TestOutageAndLoss(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, _ := w.join(9, "a")
	b, _ := w.join(8, "b")
	a.Announce("a:1")
	b.Announce("b:1")
	w.await("both are found", func() bool { return slices.Equal(w.list(), []string{"a", "b"}) })

	epoch, changed := a.Epoch()
	w.setDown(true)
	w.pass(membership.Lease)
	if got := w.list(); len(got) != 0 {
		t.Errorf("found after their leases: %v", got)
	}
	w.setDown(false)
	w.await("they are found again", func() bool { return slices.Equal(w.list(), []string{"a", "b"}) })
	select {
	case <-changed:
	default:
		t.Error("the change of the epoch is not told")
	}
	again, _ := a.Epoch()
	if s := a.Stats(); again <= epoch || s.Reclaimed != 1 || !s.Leased {
		t.Errorf("epochs %d, %d, %+v", epoch, again, s)
	}

	began := time.Now()
	w.lose()
	w.await("they are found again", func() bool { return slices.Equal(w.list(), []string{"a", "b"}) })
	t.Log("both were found again after", time.Since(began))
	if w.logged("in the directory again") != 4 {
		t.Error("the log does not say it")
	}
}

// If another gateway has the id, because someone broke the rules, the gateway is told.
func TestTakenAfterAnOutage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, _ := w.join(9, "a")
	w.setDown(true)
	w.pass(membership.Lease)
	if _, err := w.mem.Claim(t.Context(), "gateway/9", "thief", membership.Lease, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	w.setDown(false)
	select {
	case <-a.Taken():
	case <-time.After(time.Minute):
		t.Error("it is not told")
	}
}

// Rows that no gateway has written do not hide the others.
func TestForeignRows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for key, value := range map[string]string{
		"gateway/0": `{"addr":"x:1"}`, "gateway/x": `{"addr":"x:1"}`, "gateway/4294967296": `{"addr":"x:1"}`,
		"gateway/1": `not JSON`, "gateway/2": `{"addr":"good:1","name":"good","unknown":[1]}`,
	} {
		if _, err := w.mem.Claim(t.Context(), key, "o", time.Minute, []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	wrong := 0
	membership.Watch(ctx, w, func(all []membership.Gateway) {
		if len(all) != 1 || all[0].ID != 2 || all[0].Addr != "good:1" || all[0].Rank == 0 {
			t.Errorf("%+v", all)
		}
		cancel()
	}, func(error) { wrong++ })
	if wrong != 4 {
		t.Errorf("%d rows are wrong", wrong)
	}
}
