package chat_test

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"

	"github.com/seed-7410fe32/sluice/chat"
	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/browsertest"
	"github.com/seed-7410fe32/sluice/worker"
)

// TestPageFigures measures how much of a core the page uses in a room with 500 people in which 25
// messages a second are said, and how long it takes from a key to the frame that shows its letter.
// Shares are CPU time of the page's thread, and times are what the user waits.
// It needs a machine that does nothing else, so it runs only with CHAT_FIGURES=1.
func TestPageFigures(t *testing.T) {
	t.Parallel()
	if os.Getenv("CHAT_FIGURES") == "" {
		t.Skip("NOT TESTED: CHAT_FIGURES is not set")
	}
	browsertest.Path(t)
	const people, rate, seconds = 500, 25, 20
	s := startGateway(t, gateway.Config{}, "127.0.0.1:0")
	h, err := chat.New(chat.Config{AddressRate: -1})
	if err != nil {
		t.Fatal(err)
	}
	w, err := worker.New(worker.Config{Gateways: []string{s.inner}, Logger: quiet, DrainTimeout: time.Second}, h)
	if err != nil {
		t.Fatal(err)
	}
	start(t, w.Run)
	<-w.Ready()
	var talkers []*textClient
	for i := range people {
		c := dialText(t, s.text)
		c.send(fmt.Sprint("/login user", i), "/join lobby")
		c.expect("users")
		go func() { // what everybody hears
			for {
				if _, err := c.in.ReadSlice('\n'); err != nil {
					return
				}
			}
		}()
		talkers = append(talkers, c)
	}
	ada := browsertest.Open(t, 1280, 800)
	run(t, ada, browsertest.Navigate(s.page()), logIn("Ada"), shows("#subtitle", "501 people"))
	ask[bool](t, ada, `window.keys = [], document.querySelector("#say-text").addEventListener("keydown", (e) => {
  const channel = new MessageChannel();
  channel.port1.onmessage = () => keys.push(performance.now() - e.timeStamp);
  requestAnimationFrame(() => channel.port2.postMessage(0));
}), true`)
	if _, err := chromedp.Call(ada, performance.Enable,
		performance.EnableParams{TimeDomain: performance.EnableTimeDomainThreadTicks}); err != nil {
		t.Fatal(err)
	}
	busy := func() map[string]float64 {
		m, err := chromedp.Call(ada, performance.GetMetrics, cdp.Empty{})
		if err != nil {
			t.Fatal(err)
		}
		all := make(map[string]float64)
		for _, metric := range m.Metrics {
			all[metric.Name] = metric.Value
		}
		return all
	}
	say := func(from, n int) {
		tick := time.NewTicker(time.Second / rate)
		defer tick.Stop()
		for i := range n {
			<-tick.C
			talkers[(from+i)%people].send(fmt.Sprintf("message %d, with some words and a link to https://a.example/%d",
				from+i, i))
		}
	}
	say(0, 100) // until the page has warmed up
	before, began := busy(), time.Now()
	say(100, rate*seconds)
	share := (busy()["TaskDuration"] - before["TaskDuration"]) / time.Since(began).Seconds()
	const letters = 60
	quietly := busy()
	for range letters {
		run(t, ada, chromedp.KeyEvent("x"))
	}
	t.Logf("a letter costs %.1f ms of the page's thread", 1000*(busy()["TaskDuration"]-quietly["TaskDuration"])/letters)
	ask[int](t, ada, `keys.length = 0`)
	said := make(chan struct{})
	go func() {
		defer close(said)
		say(100+rate*seconds, rate*seconds/2)
	}()
	for range letters {
		run(t, ada, chromedp.KeyEvent("x"))
	}
	<-said
	keys := ask[[]float64](t, ada, `keys`)
	slices.Sort(keys)
	t.Logf("%d people, %d messages a second: the page's thread uses %.1f %% of a core "+
		"(script %.1f, layout %.1f, style %.1f); "+
		"key to paint: median %.0f ms, 95 %% within %.0f ms, longest %.0f ms", people, rate, 100*share,
		100*(busy()["ScriptDuration"]-before["ScriptDuration"])/time.Since(began).Seconds(),
		100*(busy()["LayoutDuration"]-before["LayoutDuration"])/time.Since(began).Seconds(),
		100*(busy()["RecalcStyleDuration"]-before["RecalcStyleDuration"])/time.Since(began).Seconds(),
		keys[len(keys)/2], keys[len(keys)*95/100], keys[len(keys)-1])
	if share > .2 {
		t.Errorf("the page uses %.1f %% of a core", 100*share)
	}
	if keys[len(keys)*95/100] > 50 {
		t.Errorf("a letter takes %v ms", keys[len(keys)*95/100])
	}
}
