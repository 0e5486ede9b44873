package chat_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/seed-7410fe32/sluice/internal/browsertest"
	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// watch makes a window record the connection states that it shows, and its errors.
const watch = `
window.shown = [];
new MutationObserver(() => shown.push(document.querySelector("#pill").textContent)).observe(document.querySelector("#pill"), {childList: true, characterData: true, subtree: true});
new MutationObserver(() => { if (!document.querySelector("#toast").hidden) shown.push(document.querySelector("#toast").textContent); })
  .observe(document.querySelector("#toast"), {attributes: true});
true`

// talk makes a window send "NAME 1", "NAME 2" and so on, about as fast as the chat allows, until
// hush.
func talk(name string) string {
	return fmt.Sprintf(`
window.said = 0;
window.talking = setInterval(() => {
  document.querySelector("#say-text").value = %q + " " + ++said;
  document.querySelector("#say-form").requestSubmit();
}, 250);
true`, name)
}

const hush = `clearInterval(talking), said`

// spoken returns the messages of a user that a window shows.
func spoken(t *testing.T, ctx context.Context, name string) (texts []string) {
	t.Helper()
	all := ask[[]string](t, ctx, `[...document.querySelectorAll("#messages .text")].map((e) => e.textContent)`)
	for _, text := range all {
		if strings.HasPrefix(text, name+" ") {
			texts = append(texts, text)
		}
	}
	return texts
}

// hasHeard waits until a window shows the given number of messages of a user.
func hasHeard(name string, count int) step {
	const enough = `[...document.querySelectorAll("#messages .text")]
		.filter((e) => e.textContent.startsWith(%q)).length >= %d`
	return chromedp.Poll[chromedp.Void](fmt.Sprintf(enough, name+" ", count),
		chromedp.WithPollingInterval(20*time.Millisecond), chromedp.WithPollingTimeout(browsertest.Patience))
}

// TestPageReload replaces the worker, a process of its own, three times while two people talk. Each
// sees every message once and in order, and neither page shows a lost connection or an error.
func TestPageReload(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	bin := proctest.Build(t)
	gateway := proctest.Start(t, nil, bin, "gateway", "--chat-page", "--listen", "ws://127.0.0.1:0",
		"--listen", "text://127.0.0.1:0", "--inner", "127.0.0.1:0")
	workers := proctest.Start(t, nil, bin, "chat", "--worker", "--workers", "1", "--gateway", gateway.Addrs["inner"])
	page := "http://" + gateway.Addrs["ws"]
	ada, bob := browsertest.Open(t, 1280, 800), browsertest.Open(t, 390, 844)
	run(t, ada, browsertest.Navigate(page), logIn("Ada"))
	run(t, bob, browsertest.Navigate(page), logIn("Bob"))
	run(t, ada, shows("#users", "Bob"))
	eve := dialText(t, gateway.Addrs["text"])
	eve.send(`{"type":"login","name":"Eve"}`)
	welcome := eve.expect("welcome")
	ask[bool](t, ada, watch)
	ask[bool](t, bob, watch)
	ask[bool](t, ada, talk("Ada"))
	ask[bool](t, bob, talk("Bob"))
	for i := range 3 {
		run(t, ada, hasHeard("Bob", 3*i+2))
		run(t, bob, hasHeard("Ada", 3*i+2))
		workers.Signal(syscall.SIGHUP)
		workers.AwaitLog("msg=reloaded", i+1)
	}
	saidByAda, saidByBob := ask[int](t, ada, hush), ask[int](t, bob, hush)
	for name, said := range map[string]int{"Ada": saidByAda, "Bob": saidByBob} {
		var want []string
		for i := range said {
			want = append(want, fmt.Sprintf("%s %d", name, i+1))
		}
		for _, w := range []context.Context{ada, bob} {
			run(t, w, hasHeard(name, said))
			if got := spoken(t, w, name); !slices.Equal(got, want) {
				t.Errorf("of %d messages of %s there are %q", said, name, got)
			}
		}
	}
	for name, w := range map[string]context.Context{"Ada": ada, "Bob": bob} {
		if shown := ask[[]string](t, w, `shown`); len(shown) > 0 {
			t.Errorf("%s saw %q", name, shown)
		}
		people := ask[string](t, w, `document.querySelector("#users").textContent`)
		if !strings.Contains(people, "Ada") || !strings.Contains(people, "Bob") {
			t.Errorf("%s sees %q in the room", name, people)
		}
	}
	// It accepts the tokens of the first one.
	again := dialText(t, gateway.Addrs["text"])
	again.send(fmt.Sprintf(`{"type":"login","name":"Eve","token":%q}`, welcome["token"]))
	if e := again.expect("welcome"); e["uid"] != welcome["uid"] {
		t.Errorf("Eve was %v and is %v", welcome, e)
	}
	// The fourth worker knows who is in the room, as the first one did.
	grace := dialText(t, gateway.Addrs["text"])
	grace.send("/login Grace", "/join lobby")
	if users := fmt.Sprint(grace.expect("users")["users"]); users != "[Ada Bob Grace]" {
		t.Errorf("Grace finds %s", users)
	}
	run(t, ada, shows("#users", "Grace"), say("and on we go"))
	run(t, bob, shows("#messages", "and on we go"))
	// The end of the gateway shows that watch notices a lost connection.
	gateway.Signal(syscall.SIGTERM)
	run(t, ada, chromedp.Poll[chromedp.Void](`shown.some((text) => text.includes("reconnecting"))`,
		chromedp.WithPollingInterval(20*time.Millisecond), chromedp.WithPollingTimeout(browsertest.Patience)))
	t.Logf("the worker was replaced 3 times during %d messages", saidByAda+saidByBob)
}
