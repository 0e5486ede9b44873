package registry

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// naive is the expected state of a member.
type naive struct {
	m       *Member
	uid     string
	since   uint64 // when it was bound
	claims  bool
	groups  map[string]bool
	attrs   map[string]string
	version uint32

	uidVersion uint32
}

// model is a Registry and a simple model of it.
type model struct {
	t     *testing.T
	rng   *rand.Rand
	r     *Registry
	here  map[uint32]*naive // by slot
	gone  []link.ClientID
	token uint64
}

const (
	modelSlots = 70 // more than one word of the marked slots
	modelNames = 6
)

func newModel(t *testing.T, seed uint64) *model {
	return &model{t: t, rng: rand.New(rand.NewPCG(seed, 7)), r: New(modelLimits), here: map[uint32]*naive{}}
}

// modelLimits keep a member out of some groups, by their number or by their names.
var modelLimits = Limits{Groups: 4, GroupBytes: 96}

// name returns one of a few names of different lengths.
func (x *model) name() string {
	n := x.rng.IntN(modelNames)
	return fmt.Sprint("имя ", n) + strings.Repeat("x", 7*n)
}

// mayJoin reports whether the limits allow the member one more group.
func (n *naive) mayJoin(name string) bool {
	groups, bytes := 1, link.GroupSize(len(name))
	for other, in := range n.groups {
		if in {
			groups, bytes = groups+1, bytes+link.GroupSize(len(other))
		}
	}
	return groups <= modelLimits.Groups && bytes <= modelLimits.GroupBytes
}

// any returns a random member, or nil if there is none.
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
	x.r.Remove(n.m) // has no effect
	x.gone = append(x.gone, n.m.ID)
	delete(x.here, n.m.ID.Slot())
}

// step does one random operation on both.
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
	switch x.rng.IntN(13) {
	case 0, 1:
		x.bind(n, name, x.rng.IntN(2) == 0)
	case 2:
		x.r.Unbind(n.m)
		n.uid, n.claims = "", false
		n.uidVersion++
	case 12:
		if x.rng.IntN(4) == 0 {
			x.claim(n, name)
		}
	case 3, 4, 5, 6, 7:
		may := n.groups[name] || n.mayJoin(name)
		if x.r.Join(n.m, name) != may {
			x.t.Fatalf("join of %q by a member of %v: want %v", name, n.groups, may)
		}
		if may {
			n.groups[name] = true
		}
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

// bind gives a member a uid. A claim on the same uid stays as it is unless there is another one.
func (x *model) bind(n *naive, uid string, claims bool) {
	at := x.rng.Uint64N(8)
	n.m.bind(x.r, uid, at, claims)
	n.uidVersion++
	if claims || !n.claims || n.uid != uid {
		n.uid, n.since, n.claims = uid, at, claims
	}
}

// checkClaims walks over all claims in parts.
func (x *model) checkClaims() {
	want := map[link.ClientID]string{}
	for _, n := range x.here {
		if n.claims {
			want[n.m.ID] = fmt.Sprint(n.uid, n.since)
		}
	}
	if x.r.claims != len(want) {
		x.t.Fatalf("%d claims, not %d", x.r.claims, len(want))
	}
	got := map[link.ClientID]string{}
	for slot := uint32(0); ; {
		slot = x.r.WalkClaims(slot, 1+x.rng.IntN(20), func(uid string, c link.Claim) {
			if got[c.Client] != "" {
				x.t.Fatalf("%v is visited twice", c.Client)
			}
			got[c.Client] = fmt.Sprint(uid, c.Time)
		})
		if slot == 0 {
			break
		}
	}
	if !maps.Equal(got, want) {
		x.t.Fatalf("claims %v, want %v", got, want)
	}
}

// claim closes all members that had a uid before the claim.
func (x *model) claim(n *naive, uid string) {
	c := link.Claim{Time: x.rng.Uint64N(8), Client: n.m.ID}
	want := map[*Member]bool{}
	for _, o := range x.here {
		if o.uid == uid && o != n && (o.since < c.Time || o.since == c.Time && bytes.Compare(o.m.ID[:], c.Client[:]) < 0) {
			want[o.m] = true
		}
	}
	x.r.Older([]byte(uid), c, func(m *Member) {
		if !want[m] {
			x.t.Fatalf("%v loses its uid, or twice", m.ID)
		}
		delete(want, m)
		x.remove(x.here[m.ID.Slot()])
	})
	if len(want) > 0 {
		x.t.Fatalf("%d with the uid %q stay", len(want), uid)
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
	for range x.rng.IntN(4) * (1 + x.rng.IntN(20)/19*40) { // sometimes enough for an index
		a := link.Attribute{Key: x.name(), Value: []string{"", "v", "w"}[x.rng.IntN(3)]}
		attrs = append(attrs, a)
		if n.attrs[a.Key] = a.Value; merge && a.Value == "" {
			delete(n.attrs, a.Key)
		}
	}
	n.version++
	if !x.r.Set(n.m, attrs, merge) || n.m.Version() != n.version {
		x.t.Fatalf("version %d, want %d", n.m.Version(), n.version)
	}
	if !slices.Equal(before, kept) {
		x.t.Fatalf("attributes that were given out have changed: %v, were %v", before, kept)
	}
}

// The registry agrees with maps over thousands of random operations.
func TestModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			x := newModel(t, seed)
			if seed%2 == 1 {
				x.r.epoch = 0xFFFFFFFF - 3000 // the marks wrap around
			}
			for i := range 5000 {
				x.step()
				x.checkClaims()
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

// The callback of a walk may remove members. The remaining members are visited once, and those
// removed before their turn are not visited.
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

// Over all pages of a Select each member that stays is seen exactly once, whoever joins, leaves,
// connects and disconnects between the pages.
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
				if !x.r.Join(n.m, "stays") {
					continue
				}
				stay[slot] = n
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
