package roster

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"sluice/internal/link"
)

// naive is what a member should be.
type naive struct {
	m       *Member
	uid     string
	groups  map[string]bool
	attrs   map[string]string
	version uint32
}

// model is a Roster beside its naive twin.
type model struct {
	t     *testing.T
	rng   *rand.Rand
	r     *Roster
	here  map[uint32]*naive // by slot
	gone  []link.ClientID
	token uint64
}

const (
	modelSlots = 70 // more than one word of the picked slots
	modelNames = 6
)

func newModel(t *testing.T, seed uint64) *model {
	return &model{t: t, rng: rand.New(rand.NewPCG(seed, 7)), r: New(), here: map[uint32]*naive{}}
}

func (x *model) name() string { return fmt.Sprint("имя ", x.rng.IntN(modelNames)) }

// any is a random member, nil when there is none.
func (x *model) any() *naive {
	if len(x.here) == 0 {
		return nil
	}
	slots := slices.Sorted(maps.Keys(x.here))
	return x.here[slots[x.rng.IntN(len(slots))]]
}

func (x *model) add() {
	slot := x.rng.Uint32N(modelSlots)
	if x.here[slot] != nil {
		return
	}
	x.token++
	m := &Member{ID: link.MakeClientID(1, 2, slot, x.token)}
	x.r.Add(m)
	x.here[slot] = &naive{m: m, groups: map[string]bool{}, attrs: map[string]string{}}
}

func (x *model) remove(n *naive) {
	x.r.Remove(n.m)
	x.r.Remove(n.m) // harmless
	x.gone = append(x.gone, n.m.ID)
	delete(x.here, n.m.ID.Slot())
}

// step does one random thing to both.
func (x *model) step() {
	n := x.any()
	if op := x.rng.IntN(20); n == nil || op < 4 {
		x.add()
		return
	} else if op < 5 {
		x.remove(n)
		return
	}
	name := x.name()
	switch x.rng.IntN(12) {
	case 0, 1:
		x.r.Bind(n.m, name)
		n.uid = name
	case 2:
		x.r.Unbind(n.m)
		n.uid = ""
	case 3, 4, 5, 6, 7:
		if x.r.Join(n.m, name) == n.groups[name] {
			x.t.Fatalf("join of %q: in it %v", name, n.groups[name])
		}
		n.groups[name] = true
	case 8:
		if x.r.Leave(n.m, name) != n.groups[name] {
			x.t.Fatalf("leave of %q: in it %v", name, n.groups[name])
		}
		delete(n.groups, name)
	case 9:
		if x.rng.IntN(4) == 0 {
			x.dissolve(name)
		}
	default:
		x.set(n)
	}
}

func (x *model) dissolve(name string) {
	want := 0
	for _, n := range x.here {
		if n.groups[name] {
			want++
			delete(n.groups, name)
		}
	}
	if got := x.r.Dissolve(name); got != want {
		x.t.Fatalf("dissolve of %q: %d, want %d", name, got, want)
	}
}

func (x *model) set(n *naive) {
	merge := x.rng.IntN(2) == 0
	before := n.m.Attrs()
	kept := slices.Clone(before)
	if !merge {
		clear(n.attrs)
	}
	var attrs []link.Attribute
	for range x.rng.IntN(4) * (1 + x.rng.IntN(20)/19*40) { // now and then enough for an index
		a := link.Attribute{Key: x.name(), Value: []string{"", "v", "w"}[x.rng.IntN(3)]}
		attrs = append(attrs, a)
		if n.attrs[a.Key] = a.Value; merge && a.Value == "" {
			delete(n.attrs, a.Key)
		}
	}
	n.version++
	if v := x.r.Set(n.m, attrs, merge); v != n.version || n.m.Version() != v {
		x.t.Fatalf("version %d, want %d", v, n.version)
	}
	if !slices.Equal(before, kept) {
		x.t.Fatalf("attributes that were given out have changed: %v, were %v", before, kept)
	}
}

// meant are the members that an address names, by the naive twin.
func (x *model) meant(target uint16, keys [][]byte) map[link.ClientID]bool {
	ids := map[link.ClientID]bool{}
	for _, n := range x.here {
		in := target == link.TargetAll
		for _, key := range keys {
			in = in || target == link.TargetGroups && n.groups[string(key)] ||
				target == link.TargetUIDs && n.uid == string(key) ||
				target == link.TargetClients && string(n.m.ID[:]) == string(key)
		}
		if in {
			ids[n.m.ID] = true
		}
	}
	return ids
}

// address makes a random address: keys come twice, are unknown, or are of clients that are gone.
func (x *model) address() (target uint16, keys [][]byte) {
	target = uint16(x.rng.IntN(4))
	for range x.rng.IntN(5) {
		if target != link.TargetClients {
			keys = append(keys, []byte(fmt.Sprint("имя ", x.rng.IntN(modelNames+1))))
			continue
		}
		key := []byte("short")
		if n := x.any(); n != nil && x.rng.IntN(4) > 0 {
			key = n.m.ID[:]
		} else if len(x.gone) > 0 {
			key = x.gone[x.rng.IntN(len(x.gone))][:]
		}
		keys = append(keys, key)
	}
	return target, keys
}

func (x *model) checkWalk() {
	target, keys := x.address()
	want := x.meant(target, keys)
	var except []link.ClientID
	for range x.rng.IntN(4) {
		id := link.MakeClientID(9, 9, x.rng.Uint32(), 9)
		if n := x.any(); n != nil {
			id = n.m.ID
		}
		except = append(except, id)
		delete(want, id)
	}
	got := map[link.ClientID]bool{}
	x.r.Walk(target, keys, except, func(m *Member) {
		if got[m.ID] {
			x.t.Fatalf("%v met twice", m.ID)
		}
		got[m.ID] = true
	})
	if !maps.Equal(got, want) {
		x.t.Fatalf("walk of %d %q except %v: %v, want %v", target, keys, except, got, want)
	}
}

func (x *model) checkCount() {
	target, keys := x.address()
	var want []byte
	if target == link.TargetAll {
		want = binary.BigEndian.AppendUint32(nil, uint32(len(x.here)))
		if x.r.Len() != len(x.here) {
			x.t.Fatalf("%d members, want %d", x.r.Len(), len(x.here))
		}
		keys = nil
	}
	for _, key := range keys {
		want = binary.BigEndian.AppendUint32(want, uint32(len(x.meant(target, [][]byte{key}))))
	}
	if got := x.r.Count(target, keys, nil); string(got) != string(want) {
		x.t.Fatalf("count of %d %q: %x, want %x", target, keys, got, want)
	}
}

// checkSelect reads all pages and compares each row with the twin.
func (x *model) checkSelect() {
	target, keys := x.address()
	want := x.meant(target, keys)
	fields := uint8(x.rng.IntN(8))
	for cursor, last := uint64(0), -1; ; {
		rows, next := x.r.Select(fields, target, keys, x.rng.IntN(5), cursor, []byte("head"))
		c := link.Read(rows[4:])
		for len(c.Rest()) > 0 {
			id := c.ID()
			if !want[id] || int(id.Slot()) <= last {
				x.t.Fatalf("row of %v: wanted %v, after slot %d", id, want[id], last)
			}
			delete(want, id)
			last = int(id.Slot())
			x.checkRow(&c, fields, x.here[id.Slot()])
		}
		if c.Bad() || string(rows[:4]) != "head" {
			x.t.Fatalf("bad rows %x", rows)
		}
		if cursor = next; cursor == 0 {
			break
		}
	}
	if len(want) > 0 {
		x.t.Fatalf("select of %d %q: no row of %v", target, keys, want)
	}
}

func (x *model) checkRow(c *link.Cursor, fields uint8, n *naive) {
	if fields&link.FieldUID != 0 {
		if uid := string(c.Bytes()); uid != n.uid {
			x.t.Fatalf("uid %q, want %q", uid, n.uid)
		}
	}
	if fields&link.FieldGroups != 0 {
		groups := map[string]bool{}
		for range c.U16() {
			groups[string(c.Bytes())] = true
		}
		if !maps.Equal(groups, n.groups) {
			x.t.Fatalf("groups %v, want %v", groups, n.groups)
		}
	}
	if fields&link.FieldAttrs != 0 {
		if v := c.U32(); v != n.version {
			x.t.Fatalf("version %d, want %d", v, n.version)
		}
		attrs := map[string]string{}
		for _, a := range c.Attributes() {
			attrs[a.Key] = a.Value
		}
		if !maps.Equal(attrs, n.attrs) {
			x.t.Fatalf("attributes %v, want %v", attrs, n.attrs)
		}
	}
}

// checkDistinct compares the distinct names of whom an address means.
func (x *model) checkDistinct() {
	target, keys := x.address()
	ids := x.meant(target, keys)
	uids, groups := map[string]bool{}, map[string]bool{}
	for _, n := range x.here {
		if ids[n.m.ID] {
			maps.Copy(groups, n.groups)
			if n.uid != "" {
				uids[n.uid] = true
			}
		}
	}
	for field, want := range map[uint8]map[string]bool{link.FieldDistinctUIDs: uids, link.FieldDistinctGroups: groups} {
		rows, next := x.r.Select(field, target, keys, 0, 0, nil)
		got := map[string]bool{}
		for c := link.Read(rows); len(c.Rest()) > 0; {
			name := string(c.Bytes())
			if got[name] {
				x.t.Fatalf("%q twice on a page", name)
			}
			got[name] = true
		}
		if next != 0 || !maps.Equal(got, want) {
			x.t.Fatalf("distinct names %v, want %v, next %d", got, want, next)
		}
	}
}

// checkInside proves that each place and entry point at each other and that no empty set is kept.
func (x *model) checkInside() {
	uids, groups := map[string]bool{}, map[string]bool{}
	for slot, n := range x.here {
		m := n.m
		if x.r.members[slot] != m || x.r.Find(m.ID) != m || m.UID() != n.uid || len(m.groups) != len(n.groups) || len(m.Groups()) != len(n.groups) {
			x.t.Fatalf("member %+v is not %+v", m, n)
		}
		if n.uid != "" {
			uids[n.uid] = true
			if e := m.uid.entries[m.uidAt]; e.member != m || e.group != -1 {
				x.t.Fatalf("uid entry %+v of %+v", e, m)
			}
		}
		for k, p := range m.groups {
			groups[p.set.name] = true
			if e := p.set.entries[p.at]; e.member != m || int(e.group) != k || !n.groups[p.set.name] || x.r.groups[p.set.name] != p.set {
				x.t.Fatalf("group entry %+v of %+v", e, m)
			}
		}
	}
	if len(x.r.uids) != len(uids) || len(x.r.groups) != len(groups) {
		x.t.Fatalf("%d uids and %d groups kept, want %d and %d", len(x.r.uids), len(x.r.groups), len(uids), len(groups))
	}
	for _, id := range x.gone {
		if x.r.Find(id) != nil {
			x.t.Fatalf("%v is gone and found", id)
		}
	}
}

// The roster agrees with maps over thousands of random operations.
func TestModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			x := newModel(t, seed)
			if seed%2 == 1 {
				x.r.epoch = 0xFFFFFFFF - 3000 // the marks come round
			}
			for i := range 5000 {
				x.step()
				x.checkWalk()
				x.checkCount()
				if i%4 == 0 {
					x.checkSelect()
					x.checkDistinct()
				}
				if i%50 == 0 {
					x.checkInside()
					x.gone = x.gone[max(0, len(x.gone)-20):]
				}
			}
			for len(x.here) > 0 {
				x.remove(x.any())
			}
			x.checkInside()
			if x.r.Len() != 0 {
				t.Errorf("%d members left", x.r.Len())
			}
		})
	}
}

// Members may be removed while a walk is going on, by what it calls: those that are left are met once, those removed before their turn not at all.
func TestRemovalDuringWalk(t *testing.T) {
	t.Parallel()
	for seed := range uint64(500) {
		x := newModel(t, seed)
		for range 300 {
			x.step()
		}
		target, keys := x.address()
		want := x.meant(target, keys)
		met := map[link.ClientID]bool{}
		x.r.Walk(target, keys, nil, func(m *Member) {
			if met[m.ID] || !want[m.ID] {
				t.Fatalf("seed %d: %v met again or not meant", seed, m.ID)
			}
			met[m.ID] = true
			if seed%2 == 0 || x.rng.IntN(2) == 0 { // a slow consumer is closed
				x.remove(x.here[m.ID.Slot()])
			}
			for range x.rng.IntN(4) * int(seed%3) { // and others with it
				if n := x.any(); n != nil {
					if !met[n.m.ID] {
						delete(want, n.m.ID)
					}
					x.remove(n)
				}
			}
		})
		if !maps.Equal(met, want) {
			t.Fatalf("seed %d: met %v, want %v", seed, met, want)
		}
		x.checkInside()
	}
}

// Over all pages of a Select each member that stays is seen exactly once, whoever joins, leaves, comes and goes between the pages.
func TestSelectIsStable(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		x := newModel(t, seed)
		for range 300 {
			x.step()
		}
		stay := map[uint32]*naive{}
		for slot, n := range x.here {
			if slot%3 == 0 {
				stay[slot] = n
				x.r.Join(n.m, "stays")
				n.groups["stays"] = true
			}
		}
		target, keys := uint16(link.TargetAll), [][]byte(nil)
		if seed%2 == 0 {
			target, keys = link.TargetGroups, [][]byte{[]byte("stays"), []byte("имя 0")}
		}
		seen := map[link.ClientID]int{}
		for cursor, more := uint64(0), true; more; more = cursor != 0 {
			rows, next := x.r.Select(0, target, keys, 1+x.rng.IntN(3), cursor, nil)
			for c := link.Read(rows); len(c.Rest()) > 0; {
				seen[c.ID()]++
			}
			cursor = next
			for range 20 {
				if n := x.any(); n != nil && stay[n.m.ID.Slot()] == nil {
					x.remove(n)
				}
				x.add()
			}
		}
		for slot, n := range stay {
			if seen[n.m.ID] != 1 {
				t.Fatalf("seed %d: slot %d seen %d times", seed, slot, seen[n.m.ID])
			}
		}
		for id, times := range seen {
			if times != 1 {
				t.Fatalf("seed %d: %v seen %d times", seed, id, times)
			}
		}
	}
}
