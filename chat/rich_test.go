package chat_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/seed-7410fe32/sluice/internal/browsertest"
)

// TestPageParsesMessages checks which parts of a text are shown as links, code, quotes, mentions
// and emoji. Parts are written as kind(text); what is not special is written as it is.
func TestPageParsesMessages(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	ada := browsertest.Open(t, 1280, 800)
	run(t, ada, browsertest.Navigate(s.page()))
	cases := [][2]string{
		{"plain", "plain"},
		{"", ""},
		{"see https://a.example/x?y=1#z.", "see link(https://a.example/x?y=1#z)."},
		{"(http://a.example/b_(c))", "(link(http://a.example/b_(c)))"},
		{"[mailto:a@b.example], HTTPS://A.example", "[link(mailto:a@b.example)], link(HTTPS://A.example)"},
		{"https:// http://", "https:// http://"},
		{"javascript:alert(1) data:text/html,x vbscript:x ftp://a.example file:///etc",
			"javascript:alert(1) data:text/html,x vbscript:x ftp://a.example file:///etc"},
		{"xhttps://a.example", "xhttps://a.example"},
		{"https://a.example<b>", "link(https://a.example)<b>"},
		{"use `a < b` here", "use code(a < b) here"},
		{"`https://a.example` `` ` `", "code(https://a.example) `code( ) `"},
		{"before\n```go\nif a {\n\tb()\n}\n```\nafter", "beforeblock(if a {\n\tb()\n})after"},
		{"``` one ```", "block( one )"},
		{"```\nno end", "```\nno end"},
		{"> one\n> two `c`\nthree", "quote[one\ntwo code(c)]three"},
		{">no", "quote[no]"},
		{"a > b", "a > b"},
		{":smile: :no_such: :+1::tada:", "emoji(\U0001f604) :no_such: emoji(\U0001f44d)emoji(\U0001f389)"},
		{"`:smile:` 10:30:45", "code(:smile:) 10:30:45"},
		{"@Ada, @bob b and @Bob Builder!", "mention(@Ada), mention(@bob b) and mention(@Bob Builder)!"},
		{"ada@Ada.example @Adam @", "ada@Ada.example @Adam @"},
		{"`@Ada`", "code(@Ada)"},
		{"\u202e@Ada <img src=x onerror=alert(1)>", "\u202emention(@Ada) <img src=x onerror=alert(1)>"},
		{strings.Repeat("`", 2000), strings.Repeat("`", 2000)},
		{strings.Repeat("@", 2000), strings.Repeat("@", 2000)},
		{strings.Repeat("(", 1000) + strings.Repeat(")", 1000), strings.Repeat("(", 1000) + strings.Repeat(")", 1000)},
	}
	texts, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	got := module[[]string](t, ada, "rich.js", fmt.Sprintf(`
const names = new Set(["ada", "bob b", "bob builder", "bob"]);
const find = (name) => names.has(name.toLowerCase()) || undefined;
const write = (p) => p.kind === "text" ? p.text : p.kind === "quote" ? "quote[" + p.parts.map(write).join("") +
	"]" : p.kind + "(" + p.text + ")";
return %s.map(([text]) => m.parse(text, find).map(write).join(""));`, texts))
	for i, c := range cases {
		if got[i] != c[1] {
			t.Errorf("%.80q becomes %.200q, not %.200q", c[0], got[i], c[1])
		}
	}
	for text, want := range map[string]bool{
		"\U0001f604": true, ":tada: \u2764\ufe0f": true, "\U0001f468\u200d\U0001f469\u200d\U0001f467": true,
		"\U0001f44d ok": false, "1": false, "": false,
	} {
		if got := module[bool](t, ada, "rich.js", fmt.Sprintf(`return m.large(m.parse(%s));`, quoteJS(text))); got != want {
			t.Errorf("%q is shown large: %v", text, got)
		}
	}
}

// TestPageDrawsMessages checks the elements that the parts of a message become. Nothing that people
// write becomes HTML.
func TestPageDrawsMessages(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	ada := browsertest.Open(t, 1280, 800)
	run(t, ada, browsertest.Navigate(s.page()))
	ask[bool](t, ada, `window.broken = [], document.addEventListener("securitypolicyviolation",
  (e) => broken.push(e.violatedDirective)), true`)
	run(t, ada, logIn("Ada"))
	bob := dialText(t, s.text)
	bob.send("/login Bob", "/join lobby")
	bob.expect("users")
	tell := func(text string) {
		b, err := json.Marshal(map[string]string{"type": "say", "room": "lobby", "text": text})
		if err != nil {
			t.Fatal(err)
		}
		bob.send(string(b))
		bob.expect("message")
	}
	tell("Look at https://a.example/path and `code`, @Ada :tada:")
	tell("```go\nfunc main() {\n\tfmt.Println(\"<b>hi</b>\")\n}\n```\n> quoted\nand so on")
	tell(":rocket:")
	tell(strings.Repeat("a line\n", 60))
	tell("\u05e9\u05dc\u05d5\u05dd https://a.example/ and <script>document.title='owned'</script>")
	run(t, ada, shows("#talk", "owned"))
	got := ask[string](t, ada, `(() => {
  const a = document.querySelector("#talk a"), $ = (s) => document.querySelector("#talk " + s);
  return [a.href, a.rel, a.target, $(".text code").textContent, $(".mention.me").textContent,
  	$(".for-me .emoji").textContent,
    $("pre code").textContent.includes("<b>hi</b>"), $("blockquote").textContent, $(".text.large").textContent,
    document.querySelectorAll("#talk script, #talk b, #talk img").length, document.title, broken.length].join("|");
})()`)
	const want = "https://a.example/path|noopener noreferrer|_blank|code|@Ada|\U0001f389|true|" +
		"quoted|\U0001f680|0|# lobby \u2013 sluice chat|0"
	if got != want {
		t.Errorf("the page shows %q, not %q", got, want)
	}
	height := func() float64 {
		return ask[float64](t, ada, `document.querySelector("#talk .folded, #talk .fold").closest("li").clientHeight`)
	}
	before := height()
	run(t, ada, click(".fold"), shows(".fold", "less"))
	shot(t, ada, "messages")
	if after := height(); before > 700 || after < 1000 {
		t.Errorf("a text of 60 lines is %v pixels high, and %v when it is unfolded", before, after)
	}
	run(t, ada, click(".fold"), shows(".fold", "more"))
	// What is copied from several messages tells who has said it.
	copied := ask[string](t, ada, `(() => {
  const all = document.querySelectorAll("#talk .text"), data = new DataTransfer();
  getSelection().setBaseAndExtent(all[0], 0, all[2], 1);
  document.querySelector("#messages").dispatchEvent(new ClipboardEvent("copy", {clipboardData: data, bubbles: true}));
  getSelection().removeAllRanges();
  return data.getData("text/plain").replace(/\d+:\d\d.[AP]M/g, "TIME");
})()`)
	if !strings.HasPrefix(copied,
		"[TIME] Bob: Look at https://a.example/path and `code`, @Ada :tada:\n[TIME] Bob: ```go") ||
		!strings.HasSuffix(copied, "\n[TIME] Bob: :rocket:") {
		t.Errorf("copied is %q", copied)
	}
}

// TestPageLongWords writes the widest names and texts there are. They stay within a narrow window,
// and of a reply both the name and the text are seen.
func TestPageLongWords(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	ada := browsertest.Open(t, 320, 700)
	run(t, ada, browsertest.Navigate(s.page()), logIn("Ada"))
	bob := dialText(t, s.text)
	bob.send("/login "+strings.Repeat("W", 24), "/join lobby", strings.Repeat("x", 300),
		"/reply 1 `"+strings.Repeat("c", 300)+"`", "https://example.org/"+strings.Repeat("path/", 60),
		"> "+strings.Repeat("q", 300), "Z"+strings.Repeat("\u0300", 100))
	run(t, ada, until(`document.querySelectorAll("#talk .message").length === 5`))
	wide := ask[string](t, ada, `[...document.querySelectorAll("#talk *")].filter((e) => !e.closest("pre") &&
  e.getBoundingClientRect().right > innerWidth && getComputedStyle(e).clipPath === "none")
  .map((e) => e.outerHTML).join()`)
	if wide != "" {
		t.Errorf("wider than the window: %s", wide)
	}
	const quote = `document.querySelector("#talk .reference span").getBoundingClientRect().width`
	if width := ask[float64](t, ada, quote); width < 40 {
		t.Errorf("the text that is replied to has %v pixels", width)
	}
}

// TestPageIsInert writes HTML and scripts into each field that others see, and into the address.
// The page shows them as text.
func TestPageIsInert(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	s := startServer(t, "127.0.0.1:0")
	ada := browsertest.Open(t, 1280, 800)
	const hash = "#/room/%3Cimg%20src=x%20onerror=o()%3E"
	run(t, ada, browsertest.Navigate(s.page()+hash))
	ask[bool](t, ada, `window.broken = [], window.o = window.owned = window.alert = () => broken.push("a script has run"),
  document.addEventListener("securitypolicyviolation", (e) => broken.push(e.violatedDirective)), true`)
	run(t, ada, logInTo("Ada", "<img src=x onerror=o()>"), shows("#title", "<img src=x"))
	corpus := []string{
		`<script>owned()</script>`, `<img src=x onerror=owned()>`, `<svg onload=owned()>`, `"><b id=x onclick=owned()>`,
		`<a href="javascript:owned()">x</a>`, `javascript:owned()`, `[x](javascript:owned())`,
		"`<script>owned()</script>`",
		"```html\n<iframe srcdoc='<script>parent.owned()</script>'></iframe>\n```", `> <base href=//evil.example>`,
		`https://a.example/"onmouseover="owned()`, `https://a.example/<script>owned()</script>`,
		`data:text/html,<script>owned()</script>`,
		`@<svg onload=owned()>`, `{{constructor.constructor('owned()')()}}`, `:<img src=x onerror=owned()>:`,
		`__proto__`, `constructor`,
	}
	eve := func(i int) *textClient { // several people, because one may not say so much at once
		c := dialText(t, s.text)
		c.send(fmt.Sprintf("/login <svg onload=o()>%d", i), "/join <img src=x onerror=o()>")
		c.expect("users")
		return c
	}
	var c *textClient
	seq := 0.0
	for i, text := range corpus {
		if i%5 == 0 {
			c = eve(i)
		}
		doc := map[string]any{"type": "say", "room": "<img src=x onerror=o()>", "text": text}
		if seq > 0 {
			doc["reply"] = seq
		}
		b, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		c.send(string(b))
		seq = c.expect("message")["seq"].(float64)
	}
	for _, text := range corpus[:4] {
		c.send("/msg Ada " + text)
	}
	for _, name := range []string{"__proto__", "constructor"} {
		c := dialText(t, s.text)
		c.send("/login "+name, "/join <img src=x onerror=o()>", "/msg Ada "+name)
		c.expect("private")
	}
	run(t, ada, shows("#talk", "__proto__"), shows("#privates", "<svg"), shows("#privates", "constructor"),
		shows("#users", "<svg"))
	run(t, ada, click("#open-search"), chromedp.SendKeys(chromedp.CSS("#search-text"), "<img"),
		shows("#search-count", "of"),
		click(".section-head .open-browse"), shows("#browse-list", "<img"), chromedp.KeyEvent("\u001b"))
	for i := range 3 {
		run(t, ada, click(fmt.Sprintf("#privates li:nth-child(%d) button", i+1)))
	}
	found := ask[string](t, ada,
		`[...document.querySelectorAll("#app :is(script, svg[onload], iframe, base, b, #x, img:not([src$='favicon.svg']))")]
  .concat([...document.querySelectorAll("#app a")].filter((a) => !/^(https?|mailto):/.test(a.href)))
  .map((e) => e.outerHTML).concat(broken).join()`)
	if found != "" {
		t.Errorf("what people write became part of the page: %s", found)
	}
}
