package admin_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"github.com/seed-7410fe32/sluice/gateway/admin"
)

// clients returns all clients that a query finds, page by page.
func (f *fixture) clients(query string) (all []admin.Client) {
	f.t.Helper()
	for cursor := ""; ; {
		var page admin.Clients
		f.get("/api/v1/clients?"+query+"&cursor="+cursor, &page)
		all = append(all, page.Clients...)
		if cursor = page.Next; cursor == "" {
			return all
		}
	}
}

// post sends a body and reads the number that the answer has.
func (f *fixture) post(path, body string) (n int) {
	f.t.Helper()
	status, answer := f.request(http.MethodPost, "/api/v1/"+path, body)
	if status != http.StatusOK {
		f.t.Fatalf("%s %s: %d %s", path, body, status, answer)
	}
	var numbers map[string]int
	if err := json.Unmarshal([]byte(answer), &numbers); err != nil || len(numbers) != 1 {
		f.t.Fatalf("%s %s: %s", path, body, answer)
	}
	for _, n = range numbers {
	}
	return n
}

// A client is listed with what the gateway knows of it, and found by each filter.
func TestClients(t *testing.T) {
	t.Parallel()
	f := ready(t)
	ada := f.dial("uid ada", "join room", "join hall", "attr value")
	f.dial("uid bob", "join room")
	f.dial()
	addr := func(query string) (found []string) {
		for _, c := range f.clients(query) {
			found = append(found, c.Addr)
		}
		return found
	}
	if all := addr("limit=1"); len(all) != 3 || len(slices.Compact(slices.Sorted(slices.Values(all)))) != 3 {
		t.Errorf("%q", all)
	}
	for query, want := range map[string]int{
		"uid=ada": 1, "uid=nobody": 0, "group=room": 2, "group=hall": 1, "group=none": 0, "uid=bob&group=hall": 0,
		"addr=127.0.0.1": 3, "addr=127.0.0.0/8": 3, "addr=10.0.0.0/8": 0, "addr=::1": 0, "addr=" + ada.addr(): 1,
		"listener=" + f.g.Addrs()[0]: 3, "listener=" + f.g.Addrs()[1]: 0, "slow=true": 0, "slow=false": 3,
	} {
		if found := addr(query); len(found) != want || query == "uid=ada" && found[0] != ada.addr() {
			t.Errorf("%s: %q, want %d", query, found, want)
		}
	}
	c := f.clients("uid=ada")[0]
	var d admin.ClientDetail
	f.get("/api/v1/clients/"+c.ID, &d)
	if d.ID != c.ID || d.UID != "ada" || d.Addr != ada.addr() || d.Worker != "w" || len(d.WorkerID) != 32 || d.Pending ||
		!slices.Equal(d.Groups, []string{"hall", "room"}) || d.GroupCount != 2 || d.Attributes != 1 ||
		d.AttrBytes != 16+len("key")+len("value") || d.Listener != f.g.Addrs()[0] || d.LastHeard.Before(d.Since) {
		t.Errorf("%+v", d)
	}
	for _, query := range []string{"limit=0", "limit=1001", "limit=x", "slow=maybe", "addr=here", "cursor=x", "what=1",
		"uid=a&uid=b", "cursor=_wAAAAA"} {
		if status, body := f.request(http.MethodGet, "/api/v1/clients?"+query, ""); status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", query, status, body)
		}
	}
}

// A client that does not read is slow.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	f := ready(t)
	f.dial()
	slow := f.dial("uid slow")
	text := strings.Repeat("x", 900<<10)
	wait(t, "output that waits", func() bool {
		f.post("publish", `{"uid":"slow","text":"`+text+`"}`)
		return len(f.clients("slow=true")) > 0
	})
	found := f.clients("slow=true")
	if len(found) != 1 || found[0].Addr != slow.addr() || !found[0].Slow || found[0].OutputBytes == 0 {
		t.Errorf("%+v", found)
	}
}

// While clients come and go, each one that stays is on exactly one page.
func TestPagesWhileClientsComeAndGo(t *testing.T) {
	t.Parallel()
	f := ready(t)
	stay := make(map[string]bool)
	for range 300 {
		stay[f.dial().addr()] = true
	}
	stop := make(chan struct{})
	var churn sync.WaitGroup
	for range 4 {
		churn.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := net.Dial("tcp", f.text)
				if err == nil {
					_, _ = fmt.Fprintln(c, "hello")
					_, _ = c.Read(make([]byte, 6))
					_ = c.Close()
				}
			}
		})
	}
	for range 20 {
		seen := make(map[string]int) // by id
		here := 0
		for _, c := range f.clients("limit=7") {
			if seen[c.ID]++; seen[c.ID] > 1 {
				t.Errorf("%s is listed %d times", c.Addr, seen[c.ID])
			}
			if stay[c.Addr] {
				here++
			}
		}
		if here != len(stay) {
			t.Errorf("%d of %d clients are listed", here, len(stay))
		}
	}
	close(stop)
	churn.Wait()
}

// Groups are listed by name, with the clients of all loops.
func TestGroups(t *testing.T) {
	t.Parallel()
	f := ready(t)
	for i := range 12 {
		f.dial("join all", fmt.Sprintf("join g%02d", i), fmt.Sprintf("join h%d", i%2))
	}
	read := func(query string) (all []admin.Group) {
		for cursor := ""; ; {
			var page admin.Groups
			f.get("/api/v1/groups?"+query+"&cursor="+cursor, &page)
			all = append(all, page.Groups...)
			if cursor = page.Next; cursor == "" {
				return all
			}
		}
	}
	want := []admin.Group{{Name: "all", Clients: 12}}
	for i := range 12 {
		want = append(want, admin.Group{Name: fmt.Sprintf("g%02d", i), Clients: 1})
	}
	want = append(want, admin.Group{Name: "h0", Clients: 6}, admin.Group{Name: "h1", Clients: 6})
	for _, query := range []string{"", "limit=1", "limit=4", "limit=15"} {
		if got := read(query); !slices.Equal(got, want) {
			t.Errorf("%s: %v\nwant %v", query, got, want)
		}
	}
	if got := read("prefix=g&limit=5"); !slices.Equal(got, want[1:13]) {
		t.Errorf("with a prefix: %v", got)
	}
}

// Workers are listed once, with the sums of their links.
func TestWorkers(t *testing.T) {
	t.Parallel()
	f := ready(t)
	f.dial()
	f.dial()
	var a admin.Workers
	wait(t, "everything acknowledged", func() bool {
		f.get("/api/v1/workers", &a)
		return len(a.Workers) == 1 && a.Workers[0].UnackedFrames == 0
	})
	w := a.Workers[0]
	if w.Name != "w" || len(w.ID) != 32 || w.Links != 2 || w.Clients != 2 || w.Draining || w.Behind || w.Weight != 100 ||
		w.Addr == "" {
		t.Errorf("%+v", w)
	}
}

// A kick closes one client, those of a uid or those in a group, and no others.
func TestKick(t *testing.T) {
	t.Parallel()
	f := ready(t)
	one, two, three, rest := f.dial("uid one"), f.dial("uid two"), f.dial("join three"), f.dial("join four")
	four := f.dial("join three", "uid one")
	id := f.clients("addr=" + two.addr())[0].ID
	if n := f.post("kick", `{"client":"`+id+`"}`); n != 1 {
		t.Errorf("%d kicked", n)
	}
	two.expectEnd()
	if status, body := f.request(http.MethodPost, "/api/v1/kick", `{"client":"`+id+`"}`); status != http.StatusNotFound {
		t.Errorf("a client that is gone: %d %s", status, body)
	}
	if n := f.post("kick", `{"group":"three"}`); n != 2 {
		t.Errorf("%d kicked", n)
	}
	three.expectEnd()
	four.expectEnd()
	if n := f.post("kick", `{"uid":"one"}`); n != 1 {
		t.Errorf("%d kicked", n)
	}
	one.expectEnd()
	if n := f.post("kick", `{"uid":"one"}`); n != 0 {
		t.Errorf("%d kicked", n)
	}
	rest.write("still here")
	rest.expect("still here")
	for _, body := range []string{
		`{}`, `{"uid":"a","group":"b"}`, `{"client":"short"}`, `{"uid":"a","code":999}`, `{"uid":"a","code":1001}`,
		`{"uid":"a","reason":"` + strings.Repeat("r", 124) + `"}`, `{"all":true}`, `[]`, `{"uid":"a"}{}`, `{"uid":1}`,
	} {
		if status, answer := f.request(http.MethodPost, "/api/v1/kick", body); status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", body, status, answer)
		}
	}
	if log := f.log.String(); !strings.Contains(log, `msg="admin change" change=kick addr=127.0.0.1:`) ||
		!strings.Contains(log, "operator=ops group=three code=0 reason=\"\" kicked=2") {
		t.Errorf("the log: %s", log)
	}
}

// A WebSocket that is kicked gets the code and the reason.
func TestKickedWebSocket(t *testing.T) {
	t.Parallel()
	f := ready(t)
	c, _, err := websocket.Dial(t.Context(), f.g.Addrs()[1], nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if err := c.Write(t.Context(), websocket.MessageText, []byte("uid web")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := f.post("kick", `{"uid":"web","code":4321,"reason":"go away"}`); n != 1 {
		t.Errorf("%d kicked", n)
	}
	_, _, err = c.Read(t.Context())
	if websocket.CloseStatus(err) != 4321 || !strings.Contains(err.Error(), "go away") {
		t.Error(err)
	}
}

// A kick while clients write and come closes all that were there.
func TestKickWhileClientsWrite(t *testing.T) {
	t.Parallel()
	f := ready(t)
	var all []*person
	for range 30 {
		all = append(all, f.dial("join crowd"))
	}
	var writers sync.WaitGroup
	for _, p := range all {
		writers.Go(func() {
			for {
				if _, err := fmt.Fprintln(p.conn, "text"); err != nil {
					return
				}
			}
		})
		writers.Go(func() { _, _ = p.in.WriteTo(discard{}) })
	}
	if n := f.post("kick", `{"group":"crowd"}`); n != len(all) {
		t.Errorf("%d kicked, want %d", n, len(all))
	}
	writers.Wait() // all connections have ended
	if left := f.clients("group=crowd"); len(left) > 0 {
		t.Errorf("%d are left", len(left))
	}
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// A message goes to one client, to a uid, to a group or to all.
func TestPublish(t *testing.T) {
	t.Parallel()
	f := ready(t)
	ada, bob, eve := f.dial("uid ada", "join room"), f.dial("uid bob", "join room"), f.dial()
	id := f.clients("uid=ada")[0].ID
	for _, c := range []struct {
		target string
		want   []*person
	}{
		{`"client":"` + id + `"`, []*person{ada}},
		{`"uid":"bob"`, []*person{bob}},
		{`"group":"room"`, []*person{ada, bob}},
		{`"all":true`, []*person{ada, bob, eve}},
		{`"group":"nothing"`, nil},
	} {
		if n := f.post("publish", `{`+c.target+`,"text":"news"}`); n != len(c.want) {
			t.Errorf("%s: %d, want %d", c.target, n, len(c.want))
		}
		for _, p := range c.want {
			p.expect("news")
		}
	}
	if n := f.post("publish", `{"all":true,"data":"Ynl0ZXM=","local":true}`); n != 3 {
		t.Errorf("%d", n)
	}
	for _, p := range []*person{ada, bob, eve} {
		p.expect("bytes")
	}
	for body, want := range map[string]int{
		`{"text":"x"}`: 400, `{"all":true}`: 400, `{"all":true,"text":"x","data":"eA=="}`: 400,
		`{"client":"` + strings.Repeat("0", 26) + `","text":"x"}`:      404,
		`{"all":true,"text":"` + strings.Repeat("x", 1<<20*3/2) + `"}`: 413,
		`{"group":"` + strings.Repeat("g", 1025) + `","text":"x"}`:     400,
	} {
		if status, answer := f.request(http.MethodPost, "/api/v1/publish", body); status != want {
			t.Errorf("%.60s: %d %s", body, status, answer)
		}
	}
	if strings.Contains(f.log.String(), "news") {
		t.Error("the log has a message")
	}
}

// A message for a group reaches the clients of other gateways too, unless it is local. Lists and
// kicks are about the own gateway only.
func TestOtherGateways(t *testing.T) {
	t.Parallel()
	one, two := start(t, nil), start(t, nil)
	one.worker(two.g.WorkerAddr())
	wait(t, "the worker", func() bool { return two.g.Readiness() == nil })
	near, far := one.dial("join room"), two.dial("join room", "uid far")
	sent := two.g.Stats().MessagesOut
	wait(t, "a message at the other gateway", func() bool {
		if n := one.post("publish", `{"group":"room","text":"news"}`); n != 1 {
			t.Errorf("%d delivered", n)
		}
		near.expect("news")
		return two.g.Stats().MessagesOut > sent
	})
	far.expect("news")
	relayed := one.g.Stats().Relayed
	n := one.post("publish", `{"group":"room","text":"here","local":true}`)
	if n != 1 || one.g.Stats().Relayed != relayed {
		t.Errorf("%d delivered, %d relayed", n, one.g.Stats().Relayed-relayed)
	}
	if n := one.post("kick", `{"uid":"far"}`); n != 0 || len(one.clients("")) != 1 {
		t.Errorf("%d kicked", n)
	}
	id := two.clients("")[0].ID
	status, body := one.request(http.MethodPost, "/api/v1/kick", `{"client":"`+id+`"}`)
	if status != http.StatusNotFound || !strings.Contains(body, "another gateway") {
		t.Errorf("%d %s", status, body)
	}
}

// A body that is not JSON is refused, because a page of another origin could send it.
func TestOnlyJSON(t *testing.T) {
	t.Parallel()
	f := ready(t)
	r, err := http.NewRequest(http.MethodPost, f.url+"/api/v1/kick", strings.NewReader(`{"uid":"a"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+secret)
	r.Header.Set("Content-Type", "text/plain")
	if status, _, body := f.do(r); status != http.StatusUnsupportedMediaType {
		t.Errorf("%d %s", status, body)
	}
}

// The level of the log changes at once, and the change is in the log.
func TestLogLevel(t *testing.T) {
	t.Parallel()
	f := ready(t)
	for _, level := range []string{"debug", "error", "warn", "info"} {
		if status, body := f.request(http.MethodPut, "/api/v1/log-level", `{"level":"`+level+`"}`); status != 200 {
			t.Fatalf("%d %s", status, body)
		}
		var l admin.LogLevel
		f.get("/api/v1/log-level", &l)
		if l.Level != level || !strings.EqualFold(f.level.Level().String(), level) {
			t.Errorf("%s: %s, %v", level, l.Level, f.level.Level())
		}
	}
	for _, change := range []string{"from=info to=debug", "from=debug to=error", "from=warn to=info"} {
		if !strings.Contains(f.log.String(), change) {
			t.Errorf("the log lacks %q", change)
		}
	}
}
