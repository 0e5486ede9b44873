package admin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-7410fe32/sluice/gateway/admin"
)

// publish sends a body to /api/v1/publish, with a key unless that is empty.
func (f *fixture) publish(token, key, body string) (status int, header http.Header, answer string) {
	f.t.Helper()
	r, err := http.NewRequest(http.MethodPost, f.url+"/api/v1/publish", strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	return f.do(r)
}

// The messages of a batch come in order. One that cannot be sent has an error, and the others come.
func TestPublishBatch(t *testing.T) {
	t.Parallel()
	f := ready(t)
	ada, bob := f.dial("uid ada", "join room"), f.dial("uid bob", "join room")
	status, _, answer := f.publish(secret, "", `{"messages":[
		{"group":"room","text":"one"}, {"uid":"ada","json":{"n": 2.50, "s":"\u00e9<"}}, {"uid":"nobody","text":"x"},
		{"client":"00000000000000000000000000","text":"x"}, {"text":"x"}, {"uid":"ada"}, {"uid":"bob","json":null},
		{"uid":"ada","text":"x","json":1}, {"all":true,"data":"bGFzdA=="}, {"uid":"ada","text":""}]}`)
	var got admin.PublishedBatch
	if err := json.Unmarshal([]byte(answer), &got); err != nil || status != http.StatusOK {
		t.Fatalf("%d %s: %v", status, answer, err)
	}
	var outcomes []string
	for _, r := range got.Results {
		outcome := strconv.Itoa(r.Delivered)
		if r.Error != nil {
			outcome = fmt.Sprint(outcome, "/", r.Error.Status)
		}
		outcomes = append(outcomes, outcome)
	}
	if want := "2 1 0 0/404 0/400 0/400 1 0/400 2 1"; strings.Join(outcomes, " ") != want {
		t.Errorf("%q, want %q", outcomes, want)
	}
	if got.Delivered != 7 || got.Failed != 4 {
		t.Errorf("%s", answer)
	}
	for _, line := range []string{"one", `{"n":2.50,"s":"\u00e9<"}`, "last", ""} {
		ada.expect(line)
	}
	for _, line := range []string{"one", "null", "last"} {
		bob.expect(line)
	}
	log := f.log.String()
	want := `operator=ops messages=10 bytes=`
	targets := `targets="group=room uid=ada uid=nobody client=00000000000000000000000000 all=false uid=bob all=true"`
	if !strings.Contains(log, want) || !strings.Contains(log, targets) || strings.Contains(log, "last") {
		t.Errorf("the log: %s", log)
	}
}

// A body that is no message and no batch is refused as a whole.
func TestPublishRefuses(t *testing.T) {
	t.Parallel()
	f := ready(t)
	many := func(n int) string {
		return `{"messages":[` + strings.TrimSuffix(strings.Repeat(`{"uid":"a","text":""},`, n), ",") + `]}`
	}
	for body, want := range map[string]int{
		`{"messages":[]}`: 400, `{"messages":[],"all":true}`: 400, `{"messages":[{"uid":"a","text":"x"}],"local":true}`: 400,
		`{"messages":{}}`: 400, `{"messages":[{"uid":"a","txt":"x"}]}`: 400, `{"uid":"a","json":}`: 400, `[]`: 400, ``: 400,
		many(1000): 200, many(1001): 400, `{"messages":[{"messages":[]}]}`: 400,
		`{"messages":[{"uid":"a","text":"` + strings.Repeat("x", 1<<20*3/2) + `"}]}`: 413,
	} {
		if status, _, answer := f.publish(secret, "", body); status != want {
			t.Errorf("%.60s: %d %.200s", body, status, answer)
		}
	}
}

// A request with a known key gets the first answer, and sends nothing.
func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	f := ready(t)
	ada := f.dial("uid ada")
	body := `{"uid":"ada","text":"once"}`
	for i := range 3 {
		status, header, answer := f.publish(secret, `"key-1"`, body)
		if status != 200 || answer != `{"delivered":1}`+"\n" || (header.Get("Idempotent-Replayed") == "true") != (i > 0) {
			t.Errorf("%d: %d %v %s", i, status, header, answer)
		}
	}
	if status, _, answer := f.publish(secret, `key-1`, `{"uid":"ada","text":"other"}`); status != 422 {
		t.Errorf("another body: %d %s", status, answer)
	}
	batch := `{"messages":[{"uid":"ada","text":"two"},{"uid":""}]}`
	_, _, first := f.publish(secret, "key-2", batch)
	if status, _, again := f.publish(secret, "key-2", batch); status != 200 || again != first {
		t.Errorf("%d %s, first %s", status, again, first)
	}
	// An error that says that nothing was sent does not use up the key.
	gone := `{"client":"` + strings.Repeat("0", 26) + `","text":"x"}`
	if status, _, answer := f.publish(secret, "key-3", gone); status != 404 {
		t.Errorf("%d %s", status, answer)
	}
	if status, _, answer := f.publish(secret, "key-3", `{"uid":"ada","text":"three"}`); status != 200 {
		t.Errorf("%d %s", status, answer)
	}
	for _, key := range []string{`"`, `""`, `"a`, "a b", "\u00e9", strings.Repeat("k", 256), `a"b`} {
		if status, _, answer := f.publish(secret, key, body); status != 400 {
			t.Errorf("key %q: %d %s", key, status, answer)
		}
	}
	for _, line := range []string{"once", "two", "three"} {
		ada.expect(line)
	}
	if _, text := f.request("GET", "/metrics", ""); !strings.Contains(text, "sluice_admin_publish_replays_total 3\n") ||
		!strings.Contains(text, "sluice_admin_published_total 3\n") {
		t.Error(text)
	}
}

// A token publishes as many messages in a second as it may. Other tokens are not concerned, and the
// file does not start anew when it is read again.
func TestPublishRate(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "tokens")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("one " + secret + "\ntwo " + secret + "-2 publish\n")
	f := start(t, func(c *admin.Config) { c.TokenFile, c.PublishRate = file, 1 })
	f.worker()
	batch := `{"messages":[` + strings.Repeat(`{"uid":"a","text":""},`, 999) + `{"uid":"a","text":""}]}`
	if status, _, answer := f.publish(secret, "", batch); status != 200 {
		t.Fatalf("%d %.200s", status, answer)
	}
	limited := func() {
		t.Helper()
		status, header, answer := f.publish(secret, "key", batch)
		if wait, err := strconv.Atoi(header.Get("Retry-After")); status != 429 || err != nil || wait < 900 || wait > 1000 {
			t.Errorf("%d %v %.200s", status, header, answer)
		}
	}
	limited()
	if status, _, answer := f.publish(secret+"-2", "key", batch); status != 200 {
		t.Errorf("%d %.200s", status, answer)
	}
	write("one " + secret + " publish\n")
	wait(t, "the new file", func() bool {
		status, _, _ := f.publish(secret+"-2", "", `{"uid":"a","text":""}`)
		return status == http.StatusUnauthorized
	})
	limited()
}

// A token whose scope is narrow publishes to these targets only, and never to all clients.
func TestNarrowPublish(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "tokens")
	text := "ops " + secret + "\nnews " + secret + "-2 publish:group=news-*,publish:uid=ada,read\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f := start(t, func(c *admin.Config) { c.TokenFile = file })
	f.worker()
	for target, want := range map[string]int{
		`"group":"news-"`: 200, `"group":"news-x"`: 200, `"group":"news"`: 403, `"uid":"ada"`: 200, `"uid":"adam"`: 403,
		`"uid":"news-x"`: 403, `"all":true`: 403, `"client":"` + strings.Repeat("0", 26) + `"`: 403,
		`"group":"news-x","all":true`: 400, `"local":true`: 403,
	} {
		status, _, answer := f.publish(secret+"-2", "", `{`+target+`,"text":"x"}`)
		if status != want {
			t.Errorf("%s: %d %s", target, status, answer)
		}
		if status == 403 && !strings.Contains(answer, "the token news has read,publish:group=news-*,publish:uid=ada") {
			t.Errorf("%s: %s", target, answer)
		}
	}
	status, _, answer := f.publish(secret+"-2", "", `{"messages":[{"all":true,"text":"x"},{"uid":"ada","text":"x"}]}`)
	if status != 200 || !strings.HasPrefix(answer, `{"delivered":0,"failed":1,"results":[{"delivered":0,"error":{"type"`) {
		t.Errorf("%d %s", status, answer)
	}
	if status, _ := f.plain("/api/v1/kick", "Authorization", "Bearer "+secret+"-2"); status != 405 {
		t.Errorf("%d", status)
	}
}
