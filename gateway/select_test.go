package gateway_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// question is a Select.
type question struct {
	fields uint8
	limit  uint32
	target uint16
	keys   []string
}

// page requests one page and returns its rows and the cursor of the next.
func page(w *fakeWorker, at int, id uint32, q question, cursor uint64) (rows []byte, next uint64) {
	w.t.Helper()
	b := binary.BigEndian.AppendUint32([]byte{q.fields}, q.limit)
	b = link.AppendList(binary.BigEndian.AppendUint64(b, cursor), q.keys)
	w.links[at].write(&link.Frame{Type: link.Select, Code: q.target, ID: id, Payload: b})
	_, f := w.take("a page", func(_ int, f *link.Frame) bool { return f.Type == link.Reply && f.ID == id })
	if f.Code != uint16(link.OK) || len(f.Payload) < 8 {
		w.t.Fatalf("page: %v, %d bytes", link.Status(f.Code), len(f.Payload))
	}
	return f.Payload[8:], binary.BigEndian.Uint64(f.Payload)
}

// Pages lead through all loops. Each client comes once, whichever link is used, and few pages hold
// more than was requested.
func TestSelectPagesOverAllLoops(t *testing.T) {
	t.Parallel()
	const clients = 20
	cfg := text(gateway.ListenerConfig{})
	cfg.Loops = 3
	g, _ := start(t, cfg)
	w := dialWorker(t, g.WorkerAddr(), nil, oneWorker)
	wait(t, "the worker", func() bool { return workerLinks(g) == 3 })
	want := map[string]string{} // uid of each id
	for i := range clients {
		dialClient(t, g.Addrs()[0])
		loop, f := w.take("attach", func(_ int, f *link.Frame) bool { return f.Type == link.Attach })
		uid := fmt.Sprintf("user%d", i)
		want[id(w, loop, f)] = uid
		f.Code = uint16(loop)
		for _, c := range []link.Frame{{Type: link.Bind, Payload: append(make([]byte, 4), uid...)},
			{Type: link.Join, Payload: []byte([]string{"even", "odd"}[i%2])}} {
			f.Type, f.Payload, f.Flags = c.Type, c.Payload, link.FlagResult
			f.ID = uint32(1000 + i)
			w.links[loop].write(&f)
			w.take("result", func(_ int, f *link.Frame) bool { return f.Type == link.Reply })
		}
	}
	for _, c := range []struct {
		name string
		q    question
		want func(uid string) bool
	}{
		{"all", question{fields: link.FieldUID}, func(string) bool { return true }},
		{"all by threes", question{fields: link.FieldUID, limit: 3}, func(string) bool { return true }},
		{"a group", question{fields: link.FieldUID, limit: 2, target: link.TargetGroups, keys: []string{"odd"}},
			func(uid string) bool { return (uid[len(uid)-1]-'0')%2 == 1 }},
		{"uids", question{fields: link.FieldUID, target: link.TargetUIDs,
			keys: []string{"user3", "user4", "nobody", "user3"}},
			func(uid string) bool { return uid == "user3" || uid == "user4" }},
	} {
		for at := range w.links {
			got := map[string]string{}
			for cursor, pages := uint64(0), uint32(1); ; pages++ {
				rows, next := page(w, at, 10_000*uint32(at+1)+pages, c.q, cursor)
				r := link.Read(rows)
				n := uint32(0)
				for ; len(r.Rest()) > 0; n++ {
					id := r.ID()
					if _, twice := got[string(id[:])]; twice {
						t.Errorf("%s: %v twice", c.name, id)
					}
					got[string(id[:])] = string(r.Bytes())
				}
				if r.Bad() || c.q.limit > 0 && n > c.q.limit {
					t.Errorf("%s: a page of %d rows, bad %v", c.name, n, r.Bad())
				}
				if cursor = next; cursor == 0 {
					break
				}
			}
			for id, uid := range want {
				if got[id] != "" != c.want(uid) || got[id] != "" && got[id] != uid {
					t.Errorf("%s by link %d: %s is %q", c.name, at, uid, got[id])
				}
			}
			if len(got) > len(want) {
				t.Errorf("%s: %d rows", c.name, len(got))
			}
		}
	}
	var names []string
	for cursor, id := uint64(0), uint32(1); ; id++ {
		rows, next := page(w, 0, id, question{fields: link.FieldDistinctGroups, limit: 5}, cursor)
		for r := link.Read(rows); len(r.Rest()) > 0; {
			names = append(names, string(r.Bytes()))
		}
		if cursor = next; cursor == 0 {
			break
		}
	}
	slices.Sort(names)
	if names = slices.Compact(names); !slices.Equal(names, []string{"even", "odd"}) {
		t.Errorf("groups %q", names)
	}
}
