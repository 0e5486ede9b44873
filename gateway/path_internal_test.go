package gateway

import (
	"net/url"
	"testing"
)

// Paths that match a listener's path, and paths that do not.
func TestUpgradePath(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		listener string // after host:port
		asked    []string
		others   []string
	}{
		{"", []string{"/", "/chat", "/%zz", ""}, nil},
		{"/*", []string{"/", "/chat/a"}, nil},
		{"/", []string{"/"}, []string{"/chat", ""}},
		{"/chat", []string{"/chat", "/chat/", "/%63hat", "/%63%68%61%74/"},
			[]string{"/", "/Chat", "/chat//", "/chat/a", "/chatter", "/chat%2F", "/chat%2f", "/chat%", "/chat%6", "/chat%zz",
				"/%2563hat"}},
		{"/chat/", []string{"/chat", "/chat/"}, []string{"/chat/a"}},
		{"/caf\u00e9", []string{"/caf%C3%A9", "/caf%c3%a9", "/%63af%C3%A9/"}, []string{"/cafe", "/caf%E9", "/caf%C3%A9%"}},
		{"/caf%C3%A9", []string{"/caf%C3%A9", "/caf%c3%a9"}, []string{"/caf%25C3%25A9"}},
		{"/a%2fb", []string{"/a%2Fb", "/a%2fb"}, []string{"/a/b"}},
		{"/a%20b;c", []string{"/a%20b;c", "/a%20b%3Bc"}, []string{"/a+b;c"}},
		{"/100%25", []string{"/100%25"}, []string{"/100%", "/100%2525"}},
		{"/chat/*", []string{"/chat", "/chat/", "/chat/a", "/chat/a/b", "/%63hat/a%2Fb"},
			[]string{"/", "/chatter", "/chatter/a", "/chat%2Fa"}},
		{"/chat/%2A", []string{"/chat/*", "/chat/%2a"}, []string{"/chat", "/chat/a"}},
		{"/chat*", []string{"/chat*", "/chat%2A"}, []string{"/chat", "/chatter"}},
	} {
		u, err := url.Parse("ws://127.0.0.1:80" + c.listener)
		if err != nil {
			t.Fatal(err)
		}
		p := newUpgradePath(u.EscapedPath())
		for _, path := range c.asked {
			if !p.has(path) {
				t.Errorf("%s is not asked by %s", c.listener, path)
			}
		}
		for _, path := range c.others {
			if p.has(path) {
				t.Errorf("%s is asked by %s", c.listener, path)
			}
		}
	}
}
