package redisdir

import (
	"slices"
	"strings"
	"testing"

	"github.com/seed-7410fe32/sluice/internal/validtest"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]target{
		"redis://h":                       {hosts: []string{"h:6379"}},
		"redis://h:1/2":                   {hosts: []string{"h:1"}, db: 2},
		"redis://[::1]/":                  {hosts: []string{"[::1]:6379"}},
		"rediss://u:p%3A%40%2F@[::1]:5/1": {hosts: []string{"[::1]:5"}, user: "u", password: "p:@/", tls: true, db: 1},
		"redis://:p@h":                    {hosts: []string{"h:6379"}, password: "p"},
		"redis://u@h":                     {hosts: []string{"h:6379"}, user: "u"},
		"redis://u:a@b@h":                 {hosts: []string{"h:6379"}, user: "u", password: "a@b"},
		"redis+sentinel://a,b:1,[::1]/main/3?sentinel_user=s&sentinel_password=%26": {
			hosts: []string{"a:26379", "b:1", "[::1]:26379"}, master: "main", db: 3, sentinelUser: "s",
			sentinelPassword: "&",
		},
		"rediss+sentinel://a/main": {hosts: []string{"a:26379"}, master: "main", tls: true},
		"redis+cluster://a,b:1":    {hosts: []string{"a:6379", "b:1"}, cluster: true},
		"rediss+cluster://a/0":     {hosts: []string{"a:6379"}, cluster: true, tls: true},
	} {
		got, err := parse(text)
		if err != nil || !slices.Equal(got.hosts, want.hosts) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
		got.hosts, want.hosts = nil, nil
		if got.user != want.user || got.password != want.password || got.master != want.master || got.db != want.db ||
			got.tls != want.tls || got.cluster != want.cluster || got.sentinelUser != want.sentinelUser ||
			got.sentinelPassword != want.sentinelPassword {
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
		_, err := parse(text)
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hidden") {
			t.Errorf("%q: %v, want %q", text, err, says)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("redis://u:p@h:1/2")
	f.Add("redis+sentinel://a,[::1]:2/main/3?sentinel_user=s")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parse(text)
		if err == nil && (len(got.hosts) == 0 || got.db < 0 || got.cluster && got.master != "") {
			t.Errorf("%q: %+v", text, got)
		}
	})
}

func TestConfig(t *testing.T) {
	t.Parallel()
	validtest.Negative(t, Config{URL: "redis://h"}, func(c Config) error {
		_, err := c.check()
		return err
	})
	for _, c := range []Config{
		{},
		{URL: "redis://h", PasswordFile: "/there is/no such file"},
		{URL: "rediss://h", CAFile: "/there is/no such file"},
		{URL: "rediss://h", CAFile: "url_test.go"},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
}

// The slots of keys that Redis's own documentation and command CLUSTER KEYSLOT name.
func TestSlot(t *testing.T) {
	t.Parallel()
	for tag, want := range map[string]int{"123456789": 12739, "foo": 12182, "": 0} {
		if got := slot(tag); got != want {
			t.Errorf("%q is in slot %d, want %d", tag, got, want)
		}
	}
	seen := make(map[int]bool)
	for _, key := range marks("p", true) {
		_, tag, _ := strings.Cut(strings.TrimSuffix(key, "}"), "{")
		seen[slot(tag)/(slots/clusterMarks)] = true
	}
	if len(seen) != clusterMarks || len(marks("p", true)) != clusterMarks {
		t.Errorf("keys in %d of %d parts", len(seen), clusterMarks)
	}
}
