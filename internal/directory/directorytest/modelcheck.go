package directorytest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/seed-7410fe32/sluice/internal/directory"
)

// enter adds the actor to a set, if the network allows, and tells the readers, which forget the
// set.
func (a *actor) enter(set directory.Set) {
	if a.cut {
		return
	}
	m := a.m
	readers := must(a.d.Enter(m.ctx(), a.member, []directory.Set{set}))(m.t)
	for _, r := range readers[0] {
		delete(m.actors[r.Gateway].cached, set)
	}
	a.in[set] = true
}

func (a *actor) leave(set directory.Set) {
	if a.cut || !a.in[set] {
		return
	}
	delete(a.in, set)
	want(a.m.t, "leave", a.d.Leave(a.m.ctx(), a.member, []directory.Set{set}), nil)
}

// locate caches a set. An answer that comes late is not used.
func (a *actor) locate(set directory.Set) {
	m, sent := a.m, a.m.clock.Now()
	a.send(func() {
		found := must(a.d.Locate(m.ctx(), directory.Reader{Gateway: a.member.Gateway}, m.lease, []directory.Set{set}))(m.t)
		if m.clock.Now().Sub(sent) < m.lease/4 {
			a.cached[set] = cached{found[0], sent}
		}
	})
}

// check checks what must be true after each step.
func (m *model) check() {
	m.t.Helper()
	for _, key := range m.keys {
		var owners []string
		for _, a := range m.actors {
			if a.believes(key) && a.held[key].sent.After(m.flushed) {
				owners = append(owners, a.name)
			}
		}
		if len(owners) > 1 {
			m.errorf("%v own %s", owners, key)
		}
	}
	for _, reader := range m.actors {
		for set, c := range reader.cached {
			if reader.passed(c.sent) >= m.lease {
				delete(reader.cached, set)
				continue
			}
			for _, a := range m.actors {
				if a.in[set] && !slices.Contains(c.members, a.member) {
					m.errorf("%s has cached %s as %v, without %v", reader.name, set.Name, c.members, a.member)
				}
			}
		}
	}
}

// watch lets what is late arrive, and checks that watchers get the last state.
func (m *model) watch() {
	t, d := m.t, m.actors[0].d
	ctx, cancel := context.WithCancel(m.ctx())
	states, ended := make(chan map[string]uint64, 1000), make(chan struct{})
	go func() {
		defer close(ended)
		_ = d.Watch(ctx, "room"+m.keys[0][len("room"):len(m.keys[0])-1], func(rows []directory.Row) {
			state := make(map[string]uint64)
			for _, r := range rows {
				state[r.Key] = r.Epoch<<8 + r.Version
			}
			states <- state
		})
	}()
	defer func() {
		cancel()
		<-ended
	}()
	got := <-states
	for _, call := range m.late {
		call()
	}
	last := make(map[string]uint64)
	for i, key := range m.keys {
		row, err := d.Get(ctx, key)
		if err == nil && row.Owner != "" {
			if err := d.Release(ctx, key, row.Owner, row.Epoch); !errors.Is(err, directory.ErrLost) { // it may expire
				want(t, "release", err, nil)
			}
		}
		if i == 0 || m.rng.IntN(2) == 0 {
			row = must(d.Claim(ctx, key, "the last", long, []byte("last")))(t)
			last[key] = row.Epoch<<8 + row.Version
		}
	}
	for timeout := time.After(20 * time.Second); !maps.Equal(got, last); {
		select {
		case got = <-states:
		case <-timeout:
			m.errorf("the watcher has %v, the rows are %v", got, last)
			return
		}
	}
}
