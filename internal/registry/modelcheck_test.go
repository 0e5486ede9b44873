package registry

import (
	"encoding/binary"
	"fmt"
	"maps"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// meant returns the members that an address names, according to the model.
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

// address returns a random address: keys appear twice, are unknown, or belong to clients that are
// gone.
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

// checkSelect reads all pages and compares each row with the model.
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
		if uid := string(c.Bytes()); uid != n.uid || n.m.UIDVersion() != n.uidVersion {
			x.t.Fatalf("uid %q of version %d, want %q of version %d", uid, n.m.UIDVersion(), n.uid, n.uidVersion)
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

// checkDistinct compares the distinct names of the members of an address.
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

// checkInside checks that each place and entry point at each other and that no empty set is kept.
func (x *model) checkInside() {
	uids, groups := map[string]bool{}, map[string]bool{}
	for slot, n := range x.here {
		m := n.m
		if x.r.members[slot] != m || x.r.Find(m.ID) != m || m.UID() != n.uid ||
			len(m.groups) != len(n.groups) || len(groupsOf(m)) != len(n.groups) {
			x.t.Fatalf("member %+v is not %+v", m, n)
		}
		if n.uid != "" {
			uids[n.uid] = true
			if e := m.uid.entries[m.uidIndex]; e.member != m || e.group != -1 {
				x.t.Fatalf("uid entry %+v of %+v", e, m)
			}
		}
		for k, p := range m.groups {
			groups[p.set.name] = true
			e := p.set.entries[p.index]
			if e.member != m || int(e.group) != k || !n.groups[p.set.name] || x.r.groups[p.set.name] != p.set {
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
