package redisurl

import (
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Target{
		"redis://h":                       {Hosts: []string{"h:6379"}},
		"redis://h:1/2":                   {Hosts: []string{"h:1"}, DB: 2},
		"redis://[::1]/":                  {Hosts: []string{"[::1]:6379"}},
		"rediss://u:p%3A%40%2F@[::1]:5/1": {Hosts: []string{"[::1]:5"}, User: "u", Password: "p:@/", TLS: true, DB: 1},
		"redis://:p@h":                    {Hosts: []string{"h:6379"}, Password: "p"},
		"redis://u@h":                     {Hosts: []string{"h:6379"}, User: "u"},
		"redis://u:a@b@h":                 {Hosts: []string{"h:6379"}, User: "u", Password: "a@b"},
		"redis+sentinel://a,b:1,[::1]/main/3?sentinel_user=s&sentinel_password=%26": {
			Hosts: []string{"a:26379", "b:1", "[::1]:26379"}, Master: "main", DB: 3, SentinelUser: "s",
			SentinelPassword: "&",
		},
		"rediss+sentinel://a/main": {Hosts: []string{"a:26379"}, Master: "main", TLS: true},
		"redis+cluster://a,b:1":    {Hosts: []string{"a:6379", "b:1"}, Cluster: true},
		"rediss+cluster://a/0":     {Hosts: []string{"a:6379"}, Cluster: true, TLS: true},
	} {
		got, err := Parse(text)
		if err != nil || !slices.Equal(got.Hosts, want.Hosts) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
		got.Hosts, want.Hosts = nil, nil
		if got.User != want.User || got.Password != want.Password || got.Master != want.Master || got.DB != want.DB ||
			got.TLS != want.TLS || got.Cluster != want.Cluster || got.SentinelUser != want.SentinelUser ||
			got.SentinelPassword != want.SentinelPassword {
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
}

// An error says what is wrong, and does not show a password.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for text, says := range map[string]string{
		"":                             "scheme",
		"h:6379":                       "scheme",
		"http://h":                     "scheme",
		"redis+x://h":                  "scheme",
		"redis+://h":                   "scheme",
		"redisx+cluster://h":           "scheme",
		"redis://":                     "host is missing",
		"redis://u:hidden@":            "host is missing",
		"redis://u:hidden@h:99999":     "between 0 and 65535",
		"redis://u:hidden@::1":         "in brackets",
		"redis://a,b":                  "2 hosts",
		"redis+cluster://a,,b":         "host is missing",
		"redis+cluster://a/1":          "database 0",
		"redis://h/x":                  "database",
		"redis://h/-1":                 "database",
		"redis+sentinel://h":           "name of the primary",
		"redis+sentinel://h//1":        "name of the primary",
		"redis+sentinel://h/main/x":    "database",
		"redis://u:hidden%zz@h":        "two hexadecimal digits",
		"redis://u:hidden@h?x=1":       `option "x"`,
		"redis://h?sentinel_user=u":    "option",
		"redis+sentinel://h/m?a=%zz&;": "no query",
	} {
		_, err := Parse(text)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%q: %v, want %q", text, err, says)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("redis://u:p@h:1/2")
	f.Add("redis+sentinel://a,[::1]:2/main/3?sentinel_user=s")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Parse(text)
		if err == nil && (len(got.Hosts) == 0 || got.DB < 0 || got.Cluster && got.Master != "") {
			t.Errorf("%q: %+v", text, got)
		}
	})
}
