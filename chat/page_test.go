package chat_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
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
	t.Cleanup(front.Close)
	return front.URL + "/apps/chat/"
}

// Behind a proxy that serves the chat under a path of its own, all files of the page are found, and
// the socket too.
func TestPageBehindAProxy(t *testing.T) {
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

// TestPageUnderAPath uses such a proxy in a browser.
func TestPageUnderAPath(t *testing.T) {
	browsertest.Path(t)
	for _, web := range []string{"127.0.0.1:0", "127.0.0.1:0/chat/ws"} {
		s := startServer(t, web)
		front := proxy(t, s.page(), false)
		ada := browsertest.Open(t, 1280, 800)
		run(t, ada, chromedp.Navigate(front+"?from=somewhere#here"), logIn("Ada"), say("under a path"),
			shows("#messages", "under a path"))
	}
}
