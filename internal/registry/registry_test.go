package registry

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// filled returns a registry with n members in slots 0 to n-1, all in the group "all" and each with
// a uid of its own.
func filled(n int) (*Registry, []Member) {
	r, members := New(Limits{}), make([]Member, n)
	for i := range members {
		members[i].ID = link.MakeClientID(1, 0, uint32(i), uint64(i)+1)
		r.Add(&members[i])
		r.Join(&members[i], "all")
		r.Bind(&members[i], fmt.Sprint("u", i), 1)
	}
	return r, members
}

// A member without uid, groups and attributes is at most this large in bytes: it is a third of a
// gateway's session, which must stay within its size class.
func TestMemberIsSmall(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(Member{}); size > 88 {
		t.Errorf("a member takes %d bytes", size)
	}
}

// A removed member is in no group and receives nothing.
func TestNotAMember(t *testing.T) {
	t.Parallel()
	r := New(Limits{})
	m := &Member{ID: link.MakeClientID(1, 0, 5, 1)}
	r.Bind(m, "uid", 1)
	if r.Join(m, "group") || r.Leave(m, "group") || m.UID() != "" || len(groupsOf(m)) != 0 || r.Dissolve("group") != 0 {
		t.Errorf("%+v before Add", m)
	}
	r.Remove(m)
	r.Unbind(m)
	r.Add(m)
	r.Set(m, []link.Attribute{{Key: "k", Value: "v"}}, true)
	r.Bind(m, "uid", 1)
	r.Remove(m)
	r.Unbind(m)
	if r.Bind(m, "other", 1); r.Len() != 0 || len(r.uids) != 0 || r.Find(m.ID) != nil || m.UID() != "uid" ||
		len(m.Attrs()) != 1 || m.Version() != 1 {
		t.Errorf("%+v after Remove", m)
	}
	r.Add(m)
	if r.Bind(m, "uid", 1); m.UID() != "uid" || len(r.uids) != 1 {
		t.Errorf("%+v after it came again", m)
	}
	r.Remove(m)
	for _, id := range []link.ClientID{{}, m.ID, link.MakeClientID(1, 0, 1<<24-1, 0)} {
		if r.Find(id) != nil {
			t.Errorf("found %v", id)
		}
	}
	r.Walk(link.TargetAll, nil, []link.ClientID{m.ID}, func(m *Member) { t.Errorf("met %v", m.ID) })
	for target := range uint16(4) {
		if rows, next := r.Select(link.FieldUID, target, nil, 0, 1<<40, nil); len(rows) != 0 || next != 0 {
			t.Errorf("target %d: rows %x, next %d", target, rows, next)
		}
	}
}

// A new client in a slot is not the slot's earlier client.
func TestSlotUsedAgain(t *testing.T) {
	t.Parallel()
	r := New(Limits{})
	first, second := &Member{ID: link.MakeClientID(1, 0, 5, 1)}, &Member{ID: link.MakeClientID(1, 0, 5, 2)}
	r.Add(first)
	r.Remove(first)
	r.Add(second)
	r.Remove(first)
	if r.Find(first.ID) != nil || r.Find(second.ID) != second || r.Len() != 1 {
		t.Error("the first is found in the second's place")
	}
	r.Walk(link.TargetClients, [][]byte{first.ID[:]}, nil, func(*Member) { t.Error("delivered to the second") })
	met := 0
	r.Walk(link.TargetAll, nil, []link.ClientID{first.ID}, func(*Member) { met++ })
	if met != 1 {
		t.Error("the second is left out for the first")
	}
}

func TestBindAgain(t *testing.T) {
	t.Parallel()
	r := New(Limits{})
	m := &Member{ID: link.MakeClientID(1, 0, 0, 1)}
	r.Add(m)
	for _, uid := range []string{"a", "a", "b", "b\x00", strings.Repeat("ü", 30_000)} {
		r.Bind(m, uid, 1)
		if m.UID() != uid || len(r.uids) != 1 {
			t.Errorf("bound to %.10q: %.10q of %d", uid, m.UID(), len(r.uids))
		}
	}
}

// An attribute with an empty value stays when all are replaced, and is removed when they are
// merged. The last of equal keys counts.
func TestSet(t *testing.T) {
	t.Parallel()
	r := New(Limits{})
	m := &Member{ID: link.MakeClientID(1, 0, 0, 1)}
	r.Add(m)
	attrs := func(pairs ...string) (list []link.Attribute) {
		for p := range slices.Chunk(pairs, 2) {
			list = append(list, link.Attribute{Key: p[0], Value: p[1]})
		}
		return list
	}
	for i, c := range []struct {
		set   []link.Attribute
		merge bool
		want  []link.Attribute
	}{
		{attrs("a", "1", "b", "", "a", "2"), false, attrs("a", "2", "b", "")},
		{attrs("c", "3", "b", "", "d", ""), true, attrs("a", "2", "c", "3")},
		{nil, true, attrs("a", "2", "c", "3")},
		{attrs("a", "", "a", "4"), true, attrs("a", "4", "c", "3")},
		{attrs("", "no key"), false, attrs("", "no key")},
		{nil, false, nil},
	} {
		if ok := r.Set(m, c.set, c.merge); !ok || m.Version() != uint32(i)+1 || !slices.Equal(m.Attrs(), c.want) {
			t.Errorf("set %d: %v, version %d, %v, want %v", i, ok, m.Version(), m.Attrs(), c.want)
		}
	}
}

// A client has at most link.MaxAttributes, however they were set. A change that exceeds it has no
// effect. At the limit an attribute can still be replaced and removed.
func TestSetIsBounded(t *testing.T) {
	t.Parallel()
	r := New(Limits{})
	m := &Member{ID: link.MakeClientID(1, 0, 0, 1)}
	r.Add(m)
	sized := func(key string, n int) []link.Attribute { // an attribute that counts n bytes
		return []link.Attribute{{Key: key, Value: strings.Repeat("x", n-16-len(key))}}
	}
	tiny := make([]link.Attribute, 0, 1<<16)
	for i := range 1 << 16 {
		tiny = append(tiny, link.Attribute{Key: string(rune(i + 1))})
	}
	version := uint32(0)
	for i, c := range []struct {
		set   []link.Attribute
		merge bool
		ok    bool
		size  int
	}{
		{sized("a", link.MaxAttributes+1), false, false, 0},
		{tiny, false, false, 0},
		{sized("a", link.MaxAttributes), false, true, link.MaxAttributes},
		{sized("b", 18), true, false, link.MaxAttributes},
		{sized("b", link.MaxAttributes), false, true, link.MaxAttributes},
		{sized("b", link.MaxAttributes-18), true, true, link.MaxAttributes - 18},
		{sized("a", 18), true, true, link.MaxAttributes},
		{sized("a", 19), true, false, link.MaxAttributes},
		{[]link.Attribute{{Key: "b"}}, true, true, 18},
	} {
		if c.ok {
			version++
		}
		ok := r.Set(m, c.set, c.merge)
		if size := link.AttributesSize(m.Attrs()); ok != c.ok || size != c.size || m.Version() != version {
			t.Errorf("set %d: %v, %d bytes, version %d, want %v, %d, %d", i, ok, size, m.Version(), c.ok, c.size, version)
		}
	}
}

// Many attributes are set, merged and removed as few are, and not in quadratic time.
func TestSetMany(t *testing.T) {
	t.Parallel()
	const many = 45_000
	r := New(Limits{})
	m := &Member{ID: link.MakeClientID(1, 0, 0, 1)}
	r.Add(m)
	var set, odd []link.Attribute
	for i := range many {
		set = append(set, link.Attribute{Key: fmt.Sprint(i), Value: "v"})
		if i%2 == 1 {
			odd = append(odd, link.Attribute{Key: fmt.Sprint(i)})
		}
	}
	r.Set(m, append(set, set...), false)
	if len(m.Attrs()) != many {
		t.Fatalf("%d attributes, want %d", len(m.Attrs()), many)
	}
	r.Set(m, append(odd, link.Attribute{Key: "0", Value: "w"}, link.Attribute{Key: "new"}), true)
	want := map[string]string{}
	for i := 0; i < many; i += 2 {
		want[fmt.Sprint(i)] = "v"
	}
	want["0"] = "w"
	got := map[string]string{}
	for _, a := range m.Attrs() {
		got[a.Key] = a.Value
	}
	if len(m.Attrs()) != len(want) || !maps.Equal(got, want) {
		t.Errorf("%d attributes, want %d", len(m.Attrs()), len(want))
	}
}

// When the number of walks wraps around, marks of the first walks are not valid again.
func TestMarksComeRound(t *testing.T) {
	t.Parallel()
	r, _ := filled(10)
	all := [][]byte{[]byte("all")}
	met := 0
	r.Walk(link.TargetGroups, all, nil, func(*Member) { met++ }) // walk 1
	r.epoch = 0xFFFFFFFF
	r.Walk(link.TargetGroups, all, nil, func(*Member) { met++ })
	if met != 20 || r.epoch == 0 {
		t.Errorf("met %d of 20, epoch %d", met, r.epoch)
	}
	for _, field := range []uint8{link.FieldDistinctGroups, link.FieldDistinctUIDs} {
		r.epoch = 0
		before, _ := r.Select(field, link.TargetAll, nil, 0, 0, nil)
		r.epoch = 0xFFFFFFFF
		after, _ := r.Select(field, link.TargetAll, nil, 0, 0, nil)
		if len(before) == 0 || string(before) != string(after) {
			t.Errorf("distinct names %q, then %q", before, after)
		}
	}
}

// A page ends at its limit of bytes or members. A row is never cut.
func TestSelectPages(t *testing.T) {
	t.Parallel()
	r, members := filled(40_000)
	big := strings.Repeat("x", 100_000)
	r.Set(&members[0], []link.Attribute{{Key: "k", Value: big}}, false)
	all := [][]byte{[]byte("all")}
	for _, fields := range []uint8{0, link.FieldUID, link.FieldUID | link.FieldGroups | link.FieldAttrs,
		link.FieldDistinctUIDs, link.FieldDistinctGroups} {
		pages := 0
		for cursor, more := uint64(0), true; more; more = cursor != 0 {
			rows, next := r.Select(fields, link.TargetGroups, all, 0, cursor, nil)
			if same, nextToo := r.Select(fields, link.TargetAll, nil, 0, cursor, nil); string(same) != string(rows) ||
				nextToo != next {
				t.Fatalf("fields %#x from %d: the group of all is not all", fields, cursor)
			}
			if len(rows) > maxPage+len(big)+100 || next != 0 && next-cursor > maxRows {
				t.Errorf("fields %#x: a page of %d bytes, %d members", fields, len(rows), next-cursor)
			}
			cursor = next
			pages++
		}
		if pages < 3 {
			t.Errorf("fields %#x: %d pages", fields, pages)
		}
	}
}

// The largest member fits in a frame, whichever fields are requested.
func TestSelectOfTheLargestMember(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ groups, size int }{
		"most groups":   {link.MaxGroups, 16},
		"longest names": {link.MaxGroupBytes / link.MaxKey, link.MaxKey},
	} {
		r := New(Limits{Groups: 1 << 30, GroupBytes: 1 << 30}) // the highest limits
		m := &Member{ID: link.MakeClientID(1, 0, 0, 1)}
		r.Add(m)
		r.Bind(m, strings.Repeat("u", link.MaxKey), 1)
		r.Set(m, []link.Attribute{{Key: "k", Value: strings.Repeat("v", link.MaxAttributes-17)}}, false)
		for i := range c.groups {
			group := fmt.Sprintf("%0*d", c.size, i)
			s := r.openSet(r.groups, Group, group) // Join would search all earlier groups
			m.groups = append(m.groups, place{s, s.add(m, int32(len(m.groups)))})
			m.names += uint16(link.GroupSize(c.size) / step)
		}
		if r.Join(m, "one more") && r.Join(m, strings.Repeat("x", link.MaxKey)) {
			t.Errorf("%s: there is room for more", name)
		}
		for _, fields := range []uint8{link.FieldUID | link.FieldGroups | link.FieldAttrs, link.FieldDistinctGroups} {
			rows, next := r.Select(fields, link.TargetAll, nil, 0, 0, nil)
			if len(rows) < c.groups*c.size || len(rows) > link.MaxMessage || next != 0 {
				t.Errorf("%s, fields %#x: %d bytes, next %d", name, fields, len(rows), next)
			}
		}
		if r.Remove(m); len(r.groups) != 0 || m.names != 0 {
			t.Errorf("%s: %d groups left, %d steps of names", name, len(r.groups), m.names)
		}
	}
}

// The limits of a member's groups: joining a group again does not count, and leaving one makes
// room.
func TestGroupsOfAMemberAreBounded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limits Limits
		joins  []int // lengths of names
		want   string
	}{
		"number":                    {Limits{Groups: 2}, []int{1, 2, 3}, "true true false"},
		"bytes":                     {Limits{GroupBytes: 48}, []int{16, 17, 1}, "true true false"},
		"bytes, a shorter one fits": {Limits{GroupBytes: 48}, []int{17, 33, 16, 1}, "true false true false"},
	} {
		r := New(c.limits)
		m := &Member{ID: link.MakeClientID(1, 0, 0, 1)}
		r.Add(m)
		var got []string
		for _, n := range c.joins {
			got = append(got, fmt.Sprint(r.Join(m, strings.Repeat("x", n))))
		}
		if got := strings.Join(got, " "); got != c.want {
			t.Errorf("%s: joins of %d: %s, want %s", name, c.joins, got, c.want)
		}
		first := strings.Repeat("x", c.joins[0])
		if !r.Join(m, first) || !r.Leave(m, first) || !r.Join(m, first) {
			t.Errorf("%s: a group that the member is in, or has left, is refused", name)
		}
	}
	r, m := New(Limits{}), &Member{ID: link.MakeClientID(1, 0, 0, 1)}
	r.Add(m)
	n := 0
	for r.Join(m, fmt.Sprint("group ", n)) {
		n++
	}
	if n != link.DefaultGroups {
		t.Errorf("by default %d groups", n)
	}
}

func TestAllocations(t *testing.T) {
	r, members := filled(1000)
	for i := range members {
		r.Join(&members[i], fmt.Sprint("g", i%10))
	}
	groups := [][]byte{[]byte("all"), []byte("g3"), []byte("nobody")}
	uids, clients := [][]byte{[]byte("u1"), []byte("u2")}, [][]byte{members[7].ID[:]}
	except := []link.ClientID{members[5].ID}
	met := 0
	f := func(*Member) { met++ }
	buf := make([]byte, 0, 1<<20)
	for name, run := range map[string]func(){
		"walk all":     func() { r.Walk(link.TargetAll, nil, except, f) },
		"walk groups":  func() { r.Walk(link.TargetGroups, groups, except, f) },
		"walk uids":    func() { r.Walk(link.TargetUIDs, uids, except, f) },
		"walk clients": func() { r.Walk(link.TargetClients, clients, except, f) },
		"count":        func() { r.Count(link.TargetGroups, groups, buf) },
		"select": func() {
			r.Select(link.FieldUID|link.FieldGroups|link.FieldAttrs, link.TargetGroups, groups, 0, 0,
				buf)
		},
		"distinct":    func() { r.Select(link.FieldDistinctGroups, link.TargetAll, nil, 0, 0, buf) },
		"leave, join": func() { r.Leave(&members[9], "all"); r.Join(&members[9], "all") },
		"go and come": func() { r.Remove(&members[11]); r.Add(&members[11]) },
	} {
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkWalk(b *testing.B) {
	for _, n := range []int{1000, 15_000} {
		r, members := filled(n)
		met := 0
		f := func(*Member) { met++ }
		except := []link.ClientID{members[n/2].ID}
		run := func(name string, target uint16, keys [][]byte) {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					r.Walk(target, keys, except, f)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/member")
			})
		}
		run("all", link.TargetAll, nil)
		run("group", link.TargetGroups, [][]byte{[]byte("all")})
	}
}

func BenchmarkSelect(b *testing.B) {
	r, members := filled(1_000_000)
	for i := range 100 {
		r.Join(&members[i*9973], "few")
	}
	var buf []byte
	for name, key := range map[string]string{"a page of all": "all", "100 of 1,000,000": "few"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				buf, _ = r.Select(link.FieldUID, link.TargetGroups, [][]byte{[]byte(key)}, 0, 0, buf[:0])
			}
		})
	}
}

func BenchmarkJoinLeave(b *testing.B) {
	r, members := filled(15_000)
	b.ReportAllocs()
	for b.Loop() {
		r.Join(&members[77], "room")
		r.Leave(&members[77], "room")
	}
}

// groupsOf are the names of m's groups, in no order.
func groupsOf(m *Member) []string {
	names := make([]string, len(m.groups))
	for i, p := range m.groups {
		names[i] = p.set.name
	}
	return names
}
