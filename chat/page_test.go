package chat_test

import (
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/coder/websocket"

	"github.com/seed-7410fe32/sluice/chat"
	"github.com/seed-7410fe32/sluice/internal/browsertest"
)

// The page finds its socket wherever a proxy serves the page: the relative path is the same on both
// sides of the proxy.
func TestPageFindsItsSocket(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ socket, asked, shown, want string }{
		{"", "/", "https://h/", "/"},
		{"", "/", "https://h/apps/chat/", "/apps/chat/"},           // a proxy that takes /apps/chat off
		{"", "/apps/chat/", "https://h/apps/chat/", "/apps/chat/"}, // one that leaves it
		{"/", "/", "https://h/apps/", "/apps/"},
		{"/ws", "/", "https://h/", "/ws"},
		{"/ws", "/index.html", "https://h/a/index.html", "/a/ws"},
		{"/chat/ws", "/", "https://h/a/b/", "/a/b/chat/ws"},
		{"/apps/ws", "/apps/", "https://h/apps/", "/apps/ws"},
		{"/apps/ws", "/apps/chat/", "https://h/apps/chat/", "/apps/ws"},
		{"/apps/ws", "/apps/chat/index.html", "https://h/x/apps/chat/index.html", "/x/apps/ws"},
		{"/caf\u00e9/", "/", "https://h/", "/caf%C3%A9/"},
		{`/a"b`, "/", "https://h/", "/a%22b"},
	} {
		w := httptest.NewRecorder()
		chat.Page(c.socket).ServeHTTP(w, httptest.NewRequest(http.MethodGet, c.asked, nil))
		found := regexp.MustCompile(`data-socket="([^"]*)"`).FindStringSubmatch(w.Body.String())
		if found == nil {
			t.Fatalf("%s: %d, and no address of a socket", c.asked, w.Code)
		}
		shown, err := url.Parse(c.shown)
		if err != nil {
			t.Fatal(err)
		}
		got, err := shown.Parse(strings.ReplaceAll(found[1], "&#34;", `"`))
		if err != nil || got.EscapedPath() != c.want {
			t.Errorf("%+v: %q leads to %v, %v", c, found[1], got, err)
		}
	}
}

// proxy is a server in front of another one, which it serves under /apps/chat/. If keep is set, it
// forwards that prefix.
func proxy(t *testing.T, to string, keep bool) string {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	var h http.Handler = &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
	}}
	if !keep {
		h = http.StripPrefix("/apps/chat", h)
	}
	mux := http.NewServeMux()
	mux.Handle("/apps/chat/", h)
	front := httptest.NewServer(mux)
	front.Config.ErrorLog = log.New(t.Output(), "proxy: ", 0)
	t.Cleanup(front.Close)
	return front.URL + "/apps/chat/"
}

// Behind a proxy that serves the chat under a path of its own, all files of the page are found, and
// the socket too.
func TestPageBehindAProxy(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{false, true} {
		s := startServer(t, "127.0.0.1:0")
		front := proxy(t, s.page(), keep)
		for _, name := range []string{"", "index.html", "chat.js", "chat.css", "favicon.svg"} {
			r, err := http.Get(front + name)
			if err != nil {
				t.Fatal(err)
			}
			_ = r.Body.Close()
			if r.StatusCode != http.StatusOK {
				t.Errorf("%q: %s", name, r.Status)
			}
		}
		header := http.Header{"Origin": {strings.TrimSuffix(front, "/apps/chat/")}} // as a browser has it
		ws, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(front, "http"),
			&websocket.DialOptions{HTTPHeader: header})
		if err != nil {
			t.Fatalf("the proxy hands on its path: %v: %v", keep, err)
		}
		_ = ws.CloseNow()
		http.DefaultClient.CloseIdleConnections()
	}
}

// A browser draws the page when it has index.html, and waits for no other file. Its styles are
// those whose hash the policy names.
func TestPageIsDrawnAtOnce(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	ada := browsertest.Open(t, 1280, 800)
	run(t, ada, browsertest.Navigate(s.page()), chromedp.WaitEnabled(chromedp.CSS("#login-button")))
	const blocking = `performance.getEntriesByType("resource").filter((r) => r.renderBlockingStatus !== "non-blocking").
  map((r) => r.name).join()`
	if files := ask[string](t, ada, blocking); files != "" {
		t.Errorf("the first paint waits for %s", files)
	}
	if styled := ask[string](t, ada, `getComputedStyle(document.querySelector("#login")).display`); styled != "grid" {
		t.Errorf("display: %s", styled)
	}
}

// TestPageUnderAPath uses such a proxy in a browser.
func TestPageUnderAPath(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	for _, web := range []string{"127.0.0.1:0", "127.0.0.1:0/chat/ws"} {
		s := startServer(t, web)
		front := proxy(t, s.page(), false)
		ada := browsertest.Open(t, 1280, 800)
		run(t, ada, browsertest.Navigate(front+"?from=somewhere#here"), logIn("Ada"), say("under a path"),
			shows("#messages", "under a path"))
	}
}

// get asks for a file of the page.
func get(t *testing.T, h http.Handler, path string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// filesOf returns the addresses of the files that index.html names.
func filesOf(t *testing.T, h http.Handler) []string {
	t.Helper()
	var names []string
	named := regexp.MustCompile(`(?:href|src|data-unread)="([^"#]+)"`)
	for _, m := range named.FindAllStringSubmatch(get(t, h, "/").Body.String(), -1) {
		if !slices.Contains(names, m[1]) {
			names = append(names, m[1])
		}
	}
	if len(names) < 20 {
		t.Fatalf("index.html names %q", names)
	}
	return names
}

// Browsers keep the files of the page, whose addresses change with their contents, and ask for
// index.html each time.
func TestPageIsCached(t *testing.T) {
	t.Parallel()
	h := chat.Page("")
	index := get(t, h, "/apps/")
	if cache := index.Header().Get("Cache-Control"); cache != "no-cache" {
		t.Errorf("index.html: %s", cache)
	}
	if w := get(t, h, "/apps/", "If-None-Match", index.Header().Get("ETag")); w.Code != http.StatusNotModified {
		t.Errorf("index.html again: %d", w.Code)
	}
	for _, name := range filesOf(t, h) {
		w := get(t, h, "/apps/"+name)
		if cache := w.Header().Get("Cache-Control"); w.Code != http.StatusOK || !strings.Contains(cache, "immutable") {
			t.Errorf("%s: %d, %s", name, w.Code, cache)
		}
		folder, file, _ := strings.Cut(name, "/")
		if len(folder) != 16 {
			t.Errorf("%s is in no folder with a hash", name)
		}
		// Another version of the page, or none, may be asked of this one while gateways are replaced.
		for _, other := range []string{"/0123456789abcdef/" + file, "/" + file} {
			if w := get(t, h, other); w.Code != http.StatusOK || w.Header().Get("Cache-Control") != "no-cache" {
				t.Errorf("%s: %d, %v", other, w.Code, w.Header())
			}
		}
	}
}

// The whole page is less than 60 KB on the way.
func TestPageIsLight(t *testing.T) {
	t.Parallel()
	h := chat.Page("")
	size := 0
	for _, name := range append(filesOf(t, h), "") {
		w := get(t, h, "/"+name, "Accept-Encoding", "gzip, deflate, br")
		if w.Header().Get("Content-Encoding") != "gzip" {
			t.Errorf("%s is not compressed", name)
		}
		size += w.Body.Len()
	}
	t.Logf("%d bytes", size)
	if size >= 60_000 {
		t.Errorf("the page has %d bytes", size)
	}
	if w := get(t, h, "/chat.js"); w.Header().Get("Content-Encoding") != "" {
		t.Error("a client that has not asked for gzip gets it")
	}
}

// Every answer has the headers that protect the page, that to a wrong address too.
func TestPageHeaders(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/", "/chat.js", "/nothing.here"} {
		header := get(t, chat.Page(""), path).Header()
		for name, want := range map[string]string{
			"Content-Security-Policy":      "require-trusted-types-for 'script'",
			"Cross-Origin-Opener-Policy":   "same-origin",
			"Cross-Origin-Resource-Policy": "same-origin", "Permissions-Policy": "camera=()",
			"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		} {
			if !strings.Contains(header.Get(name), want) {
				t.Errorf("%s: %s is %q", path, name, header.Get(name))
			}
		}
		csp := header.Get("Content-Security-Policy")
		if strings.Contains(csp, "unsafe") || !strings.Contains(csp, "default-src 'none'") {
			t.Errorf("%s: %s", path, csp)
		}
	}
}
