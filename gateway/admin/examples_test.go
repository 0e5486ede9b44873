package admin_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seed-7410fe32/sluice/gateway/admin"
)

// The examples of docs/publishing.md publish, try again when the gateway is busy or the answer is
// lost, and send nothing twice then. They fail with the reason when the gateway refuses a message.
func TestExamples(t *testing.T) {
	t.Parallel()
	for file, program := range map[string]string{"publish.sh": "curl", "publish.py": "python3", "publish.php": "php"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(program); err != nil {
				if os.Getenv("CI") == "true" {
					t.Fatal(err)
				}
				t.Skip("NOT TESTED: ", err)
			}
			tokens := filepath.Join(t.TempDir(), "tokens")
			if err := os.WriteFile(tokens, []byte("shop "+secret+" publish:uid=*\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			f := start(t, func(c *admin.Config) { c.TokenFile = tokens })
			f.worker()
			tryExample(t, f, file)
		})
	}
}

// unlucky passes requests on to a server, but refuses the first one, and loses the second answer.
func unlucky(t *testing.T, to string) (at string) {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	var requests atomic.Int32
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.Transport = &http.Transport{DisableKeepAlives: true}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch requests.Add(1) {
		case 1:
			w.Header().Set("Retry-After", "1")
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = fmt.Fprint(w, `{"status":503,"detail":"busy"}`)
		case 2:
			proxy.ServeHTTP(httptest.NewRecorder(), r)
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = fmt.Fprint(w, `{"status":503,"detail":"lost"}`)
		default:
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// tryExample runs an example.
func tryExample(t *testing.T, f *fixture, file string) {
	t.Helper()
	interpreter := map[string]string{".sh": "sh", ".py": "python3", ".php": "php"}[filepath.Ext(file)]
	run := func(at, body, key string) (answer, problem string, err error) {
		t.Helper()
		c := exec.CommandContext(t.Context(), interpreter, filepath.Join("../../docs/examples", file), body, key)
		var out, errs bytes.Buffer
		c.Stdout, c.Stderr = &out, &errs
		c.Env = append(os.Environ(), "SLUICE_ADMIN="+at, "SLUICE_TOKEN="+secret)
		err = c.Run()
		return strings.ReplaceAll(out.String(), " ", ""), errs.String(), err
	}
	ada := f.dial("uid ada")
	const message = `{"uid":"ada","json":{"type":"paid","name":"J\u00f6rg"}}`
	if answer, problem, err := run(unlucky(t, f.url), message, "paid-1"); err != nil ||
		!strings.Contains(answer, `{"delivered":1}`) {
		t.Errorf("%s, %s, %v", answer, problem, err)
	}
	if answer, problem, err := run(f.url, message, "paid-1"); err != nil || !strings.Contains(answer, `{"delivered":1}`) {
		t.Errorf("the same key: %s, %s, %v", answer, problem, err)
	}
	answer, problem, err := run(f.url, `{"messages":[{"uid":"ada","text":"second"},{"uid":"bob","text":"x"}]}`, "batch-1")
	if err != nil || !strings.Contains(answer, `"failed":0`) {
		t.Errorf("a batch: %s, %s, %v", answer, problem, err)
	}
	answer, problem, err = run(f.url, `{"all":true,"text":"to all"}`, "all-1")
	if err == nil || !strings.Contains(answer+strings.ReplaceAll(problem, " ", ""), "thetokenshophaspublish:uid=*") {
		t.Errorf("not allowed: %s, %s, %v", answer, problem, err)
	}
	line, err := ada.in.ReadString('\n')
	var paid struct{ Type, Name string }
	if err == nil {
		err = json.Unmarshal([]byte(line), &paid)
	}
	if paid.Type != "paid" || paid.Name != "J\u00f6rg" || err != nil {
		t.Errorf("%q, %v", line, err)
	}
	ada.expect("second")
	if n := f.g.Stats().MessagesOut; n != 4 { // these, and the answers to what dial has written
		t.Errorf("%d messages were sent", n)
	}
}
