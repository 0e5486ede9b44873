package dashboard_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/seed-7410fe32/sluice/gateway/admin/dashboard"
)

// get asks for a file of the page, as a browser does.
func get(t *testing.T, path string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("Accept-Encoding", "gzip")
	w := httptest.NewRecorder()
	dashboard.Handler().ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Errorf("%s: %d", path, w.Code)
	}
	return w
}

// index.html names each module, so that a browser asks for all of them at once, and the whole page
// is small.
func TestPageIsLight(t *testing.T) {
	t.Parallel()
	index, err := os.ReadFile("page/index.html")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir("page")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".js") && !strings.Contains(string(index), `"`+e.Name()+`"`) {
			t.Errorf("index.html does not name %s", e.Name())
		}
	}
	size := get(t, "/").Body.Len()
	for _, m := range regexp.MustCompile(`(?:href|src)="([^"]+)"`).FindAllStringSubmatch(string(index), -1) {
		w := get(t, "/dashboard/x/"+m[1])
		kind := w.Header().Get("Content-Type")
		if strings.HasSuffix(m[1], ".js") != strings.HasPrefix(kind, "text/javascript") {
			t.Errorf("%s is %s", m[1], kind)
		}
		size += w.Body.Len()
	}
	t.Logf("%d bytes", size)
	if size > 140_000 {
		t.Errorf("the page has %d bytes", size)
	}
}
