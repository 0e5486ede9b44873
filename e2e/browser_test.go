package e2e_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/seed-7410fe32/sluice/internal/browsertest"
	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// openBrowser opens a window of Chromium.
func openBrowser(t *testing.T) context.Context {
	t.Helper()
	return browsertest.Open(t, 1280, 800)
}

func inBrowser(t *testing.T, tab context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(tab, steps...); err != nil {
		t.Fatal(err)
	}
}

// promised opens a gateway's own page, and returns what a call of whatwg.js in it comes to.
func promised[T any](t *testing.T, tab context.Context, page, call string) T {
	t.Helper()
	script, err := os.ReadFile(clientsDir + "/whatwg.js")
	if err != nil {
		t.Fatal(err)
	}
	inBrowser(t, tab, browsertest.Navigate(page))
	result, err := chromedp.Run(tab, chromedp.Evaluate[T]("{"+string(script)+";"+call+"}", chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func talkInBrowser(t *testing.T, tab context.Context, addr string) visit {
	t.Helper()
	return promised[visit](t, tab, "http://"+addr+"/", fmt.Sprintf("talk(WebSocket, 'ws://%s')", addr))
}

func leaveInBrowser(t *testing.T, tab context.Context, addr, name string, n int) []departure {
	t.Helper()
	call := fmt.Sprintf("leave(WebSocket, 'ws://%s', %q, %d)", addr, name, n)
	return promised[[]departure](t, tab, "http://"+addr+"/", call)
}

// testPageBehindNginx lets two people chat in windows of Chromium, on a page that nginx serves
// below a path of its own.
func testPageBehindNginx(t *testing.T, bin string) {
	browsertest.Path(t)
	addr := startNginx(t, proctest.Start(t, nil, bin, "chat", "--listen", "ws://127.0.0.1:0"))
	chatInBrowser(t, "http://"+addr+"/some/path/")
}

// chatInBrowser lets two people chat on a page.
func chatInBrowser(t *testing.T, page string) {
	t.Helper()
	shows := func(selector, text string) chromedp.Action[chromedp.Void] {
		const holds = `document.querySelector(%q)?.textContent.includes(%q)`
		return chromedp.Poll[chromedp.Void](fmt.Sprintf(holds, selector, text),
			chromedp.WithPollingInterval(20*time.Millisecond), chromedp.WithPollingTimeout(20*time.Second))
	}
	logIn := func(name string) context.Context {
		tab := openBrowser(t)
		inBrowser(t, tab, browsertest.Navigate(page),
			chromedp.WaitEnabled(chromedp.CSS("#login-button")),
			chromedp.SetValue(chromedp.CSS("#login-name"), name),
			chromedp.Click(chromedp.CSS("#login-button")), shows("#title", "lobby"))
		return tab
	}
	say := func(text string) chromedp.Action[chromedp.Void] {
		return chromedp.Steps(chromedp.SendKeys(chromedp.CSS("#say-text"), text), chromedp.Click(chromedp.CSS("#say-button")))
	}
	ada, bob := logIn("Ada"), logIn("Bob")
	inBrowser(t, ada, shows("#users", "Bob"), say("good evening"))
	inBrowser(t, bob, shows("#messages", "good evening"), say("to you too"))
	inBrowser(t, ada, shows("#messages", "to you too"))
}
