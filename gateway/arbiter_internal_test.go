package gateway

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7410fe32/sluice/internal/directory"
	"github.com/seed-7410fe32/sluice/internal/suite"
)

// sharedDirectory is a directory that loses its data, and views of it that fail.
type sharedDirectory struct {
	t     *testing.T
	views []*view

	mu   sync.Mutex
	mem  *directory.Memory // guarded by mu
	lost int               // times; guarded by mu
}

func newSharedDirectory(t *testing.T, gateways int) *sharedDirectory {
	s := &sharedDirectory{t: t}
	s.lose()
	for i := range gateways {
		s.views = append(s.views, &view{of: s, rng: rand.New(rand.NewPCG(uint64(i), 7)), changed: make(chan struct{})})
	}
	return s
}

func (s *sharedDirectory) lose() {
	time.Sleep(time.Millisecond) // so that epochs grow
	mem, err := directory.NewMemory(directory.MemoryConfig{})
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mem = mem
	s.lost++
}

// fail cuts a gateway from the directory or lets it reach it again, or the directory loses its
// data.
func (s *sharedDirectory) fail(rng *rand.Rand) {
	if n := rng.IntN(len(s.views) + 1); n < len(s.views) {
		s.views[n].setDown(rng.IntN(2) == 0)
		return
	}
	s.lose()
}

func (s *sharedDirectory) stop() {
	for _, v := range s.views {
		v.leave()
	}
}

// view is the directory as one gateway sees it. What it does not implement is not called.
type view struct {
	directory.Directory
	of    *sharedDirectory
	leave func()

	mu      sync.Mutex
	rng     *rand.Rand    // guarded by mu
	down    bool          // guarded by mu
	changed chan struct{} // guarded by mu
}

// use has a gateway use the directory until leave is called.
func (v *view) use(t *testing.T, g *Gateway) {
	t.Helper()
	down := v.isDown()
	v.setDown(false)
	release, err := g.place.join(t.Context(), g, func() { t.Error("another gateway has the id") })
	if err != nil {
		t.Fatal(err)
	}
	g.place.member.Load().Announce("simulated")
	g.interest.member = g.place.entry(g.cfg.ID)
	v.setDown(down)
	ctx, cancel := context.WithCancel(context.Background())
	var both sync.WaitGroup
	both.Go(func() { g.interest.run(ctx) })
	both.Go(func() { g.arbiter.run(ctx) })
	v.leave = func() {
		cancel()
		both.Wait()
		v.setDown(false) // so that the id is free
		if err := release(); err != nil {
			t.Error(err)
		}
	}
}

func (v *view) setDown(down bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.down = down
	close(v.changed)
	v.changed = make(chan struct{})
}

func (v *view) isDown() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.down
}

// do makes a call. While the view is down the call or its answer is lost.
func (v *view) do(call func(*directory.Memory) error) error {
	v.mu.Lock()
	down, arrives, late := v.down, v.rng.IntN(2) == 0, time.Duration(v.rng.IntN(4)/3*v.rng.IntN(300))*time.Millisecond
	v.mu.Unlock()
	time.Sleep(late)
	v.of.mu.Lock()
	mem := v.of.mem
	v.of.mu.Unlock()
	if !down {
		return call(mem)
	}
	if arrives {
		_ = call(mem)
	}
	return directory.ErrUnavailable
}

func (v *view) Claim(
	ctx context.Context, key, owner string, lease time.Duration, value []byte,
) (row directory.Row, err error) {
	err = v.do(func(d *directory.Memory) (err error) { row, err = d.Claim(ctx, key, owner, lease, value); return err })
	return row, err
}

func (v *view) Renew(ctx context.Context, key, owner string, epoch uint64, lease time.Duration) error {
	return v.do(func(d *directory.Memory) error { return d.Renew(ctx, key, owner, epoch, lease) })
}

func (v *view) Release(ctx context.Context, key, owner string, epoch uint64) error {
	_ = v.do(func(d *directory.Memory) error { return d.Release(ctx, key, owner, epoch) })
	return nil
}

func (v *view) Get(ctx context.Context, key string) (row directory.Row, err error) {
	err = v.do(func(d *directory.Memory) (err error) { row, err = d.Get(ctx, key); return err })
	return row, err
}

func (v *view) Watch(ctx context.Context, prefix string, changed func([]directory.Row)) error {
	last := "none"
	for ctx.Err() == nil {
		var rows []directory.Row
		err := v.do(func(d *directory.Memory) (err error) { rows, err = d.List(ctx, prefix); return err })
		now := ""
		for _, r := range rows {
			now += fmt.Sprint(r.Key, r.Epoch, r.Version, " ")
		}
		if err == nil && now != last {
			changed(rows)
			last = now
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
	return ctx.Err()
}

func (v *view) Enter(
	ctx context.Context, m directory.Member, sets []directory.Set,
) (readers [][]directory.Reader, err error) {
	err = v.do(func(d *directory.Memory) (err error) { readers, err = d.Enter(ctx, m, sets); return err })
	return readers, err
}

func (v *view) Leave(ctx context.Context, m directory.Member, sets []directory.Set) error {
	return v.do(func(d *directory.Memory) error { return d.Leave(ctx, m, sets) })
}

func (v *view) Locate(
	ctx context.Context, r directory.Reader, lease time.Duration, sets []directory.Set,
) (members [][]directory.Member, err error) {
	err = v.do(func(d *directory.Memory) (err error) { members, err = d.Locate(ctx, r, lease, sets); return err })
	return members, err
}

func (v *view) Post(ctx context.Context, to uint32, messages [][]byte) error {
	return v.do(func(d *directory.Memory) error { return d.Post(ctx, to, messages) })
}

func (v *view) Fetch(ctx context.Context, of uint32, done [][]byte) (messages [][]byte, err error) {
	err = v.do(func(d *directory.Memory) (err error) { messages, err = d.Fetch(ctx, of, done); return err })
	return messages, err
}

func (v *view) Generation(context.Context) (generation string, err error) {
	err = v.do(func(*directory.Memory) error {
		v.of.mu.Lock()
		defer v.of.mu.Unlock()
		generation = fmt.Sprint("generation ", v.of.lost)
		return nil
	})
	return generation, err
}

func (v *view) State() directory.State {
	v.of.mu.Lock()
	defer v.of.mu.Unlock()
	return directory.State{Up: !v.isDown(), Generation: fmt.Sprint("generation ", v.of.lost)}
}

func (v *view) Changed() <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.changed
}

// Of the clients that claim a uid one is left, the newest, while gateways cannot reach each other
// for as long as one likes, if the directory can be reached by those; whatever has happened before.
func TestOneClientOfEachUIDIsLeftWithoutLinks(t *testing.T) {
	t.Parallel()
	for seed := range uint64(suite.Of(t, 150, 1000, "schedules")) {
		synctest.Test(t, func(t *testing.T) {
			shared := newSharedDirectory(t, claimGates)
			w := newClaimWorld(t, seed, shared)
			defer shared.stop()
			for range w.rng.IntN(100) {
				w.step()
			}
			for i := range claimGates {
				for j := range i {
					cut := w.rng.IntN(3) > 0
					w.cut[i][j], w.cut[j][i] = cut, cut && w.rng.IntN(3) > 0
					w.listed[i][j] = !w.cut[i][j] || w.rng.IntN(2) == 0
					w.listed[j][i] = !w.cut[j][i] || w.rng.IntN(2) == 0
				}
			}
			for range w.rng.IntN(60) {
				w.apart()
			}
			for _, v := range shared.views {
				v.setDown(false)
			}
			w.rest(unreachableBound)
			if w.check(); t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		})
	}
}

// apart makes a step in which links stay as they are.
func (w *claimWorld) apart() {
	switch n := w.rng.IntN(10); {
	case n < 4:
		w.login(w.rng.IntN(claimGates))
	case n < 5:
		w.leave()
	case n < 7:
		w.shared.fail(w.rng)
	default:
		w.rest(time.Duration(w.rng.IntN(5000)) * time.Millisecond)
	}
}

// unreachableBound is within which time one client of each uid is left.
const unreachableBound = 15 * time.Second
