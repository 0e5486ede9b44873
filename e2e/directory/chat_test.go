package directory_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/seed-7410fe32/sluice/internal/browsertest"
	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// Three people with browsers are at three gateways. They see each other and what each says, in
// rooms and in private. The gateway of one of them, which the workers call for what is kept, is
// killed, and then a worker. The page comes back by another gateway. Everybody has everything, once
// and in the same order, and so has somebody who comes later.
func TestChatInBrowsersAtThreeGateways(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	c := newCluster(t, 0, 0)
	for range 3 {
		c.gateways = append(c.gateways, proctest.Start(t, nil, c.bin, "gateway", "--chat-page", "--engine", c.url,
			"--inner", "127.0.0.1:0", "--reactors", "1", "--listen", "ws://127.0.0.1:0"))
	}
	for range 2 {
		c.workers = append(c.workers, proctest.Start(t, nil, c.bin, "chat", "--worker", "--engine", c.url))
	}
	for _, w := range c.workers {
		w.AwaitLog("link open", 3)
	}
	names := []string{"Ada", "Bea", "Cem", "Dan"}
	pages := make([]*page, len(names))
	enter := func(i int) {
		pages[i] = c.openPage(i % 3)
		pages[i].do(chromedp.WaitEnabled(chromedp.CSS("#login-button")),
			chromedp.SetValue(chromedp.CSS("#login-name"), names[i]),
			chromedp.Click(chromedp.CSS("#login-button")), shows("#title", "lobby"))
	}
	var said []string
	says := func(i int, text string) {
		t.Helper()
		said = append(said, text)
		pages[i].say(text)
		pages[i].do(shows("#messages", text), until(`document.querySelectorAll("#outbox li").length === 0`))
	}
	for i := range 3 {
		enter(i)
	}
	for i := range 3 {
		for _, other := range names[:3] {
			pages[i].do(shows("#users", other))
		}
		says(i, "hello from "+names[i])
	}
	pages[1].do(chromedp.Click(chromedp.CSS(`#users [data-name="Ada"]`)), shows("#title", "Ada"))
	pages[1].say("between us two")
	pages[0].do(shows("#unread-total", "1"), shows("#privates", "Bea"))
	pages[1].do(chromedp.Click(chromedp.CSS(`[data-conversation="room:lobby"] button`)), shows("#title", "lobby"))

	c.gateways[0].Kill()
	began := time.Now()
	says(1, "while Ada is away")
	t.Log("the chat goes on after", time.Since(began).Round(time.Millisecond))
	pages[0].do(shows("#pill", "connected"), shows("#messages", "while Ada is away"))
	says(0, "Ada is back")
	c.workers[0].Kill()
	says(2, "a worker less")
	says(0, "and that is all")
	enter(3)
	for i, p := range pages {
		p.do(shows("#messages", "and that is all"))
		got, err := chromedp.Run(p.tab, chromedp.Evaluate[string](
			`[...document.querySelectorAll("#talk .message .text")].map((e) => e.textContent).join("\n")`))
		if want := strings.Join(said, "\n"); err != nil || got != want {
			t.Errorf("%s sees %q, %v, want %q", names[i], got, err, want)
		}
	}
	pages[0].do(chromedp.Click(chromedp.CSS("#privates button")), shows("#messages", "between us two"))
	pages[2].do(until(`document.querySelector("#privates").textContent === ""`))
}

// patience is how long a page may take for what it does at once.
const patience = 40 * time.Second

// shows waits until an element contains the text.
func shows(selector, text string) chromedp.Action[chromedp.Void] {
	const holds = `document.querySelector(%q)?.textContent.includes(%q)`
	return until(fmt.Sprintf(holds, selector, text))
}

// until waits until a condition in the page is true.
func until(condition string) chromedp.Action[chromedp.Void] {
	return chromedp.Poll[chromedp.Void](condition,
		chromedp.WithPollingInterval(20*time.Millisecond), chromedp.WithPollingTimeout(patience))
}

// page is the chat in a window.
type page struct {
	t   *testing.T
	tab context.Context
}

// openPage opens the chat by an address of its own, where a gateway answers, or another one when
// that has gone.
func (c *cluster) openPage(gateway int) *page {
	c.t.Helper()
	var targets []string
	for i := range c.gateways {
		targets = append(targets, c.gateways[(gateway+i)%len(c.gateways)].Addrs["ws"])
	}
	p := &page{c.t, browsertest.Open(c.t, 1280, 800)}
	p.do(chromedp.Navigate("http://" + balance(c.t, targets) + "/"))
	return p
}

func (p *page) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.tab, steps...); err != nil {
		text, _ := chromedp.Run(p.tab, chromedp.Evaluate[string](`document.body.innerText`))
		p.t.Fatalf("%v; the page shows:\n%s", err, text)
	}
}

func (p *page) say(text string) {
	p.t.Helper()
	p.do(chromedp.SendKeys(chromedp.CSS("#say-text"), text), chromedp.Click(chromedp.CSS("#say-button")))
}

// balance connects those who connect to the address that it returns to the first target that
// answers. It ends with the test.
func balance(t *testing.T, targets []string) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() {
		_ = ln.Close()
		all.Wait()
	})
	all.Go(func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() { join(t.Context(), in, targets) })
		}
	})
	return ln.Addr().String()
}

// join connects in to the first target that answers, until one of both ends the connection, or ctx
// ends.
func join(ctx context.Context, in net.Conn, targets []string) {
	defer func() { _ = in.Close() }()
	for _, target := range targets {
		out, err := net.Dial("tcp", target)
		if err != nil {
			continue
		}
		end := func() { _, _ = in.Close(), out.Close() }
		defer context.AfterFunc(ctx, end)()
		go func() {
			_, _ = io.Copy(out, in)
			end()
		}()
		_, _ = io.Copy(in, out)
		end()
		return
	}
}
