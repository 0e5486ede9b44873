package redisdir

import (
	"strings"
	"testing"

	"github.com/seed-7410fe32/sluice/internal/validtest"
)

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
		{URL: "rediss://h", CAFile: "option_test.go"},
		{URL: "redis://h", CAFile: "option_test.go"},
		{URL: "redis://:p@h", PasswordFile: "option_test.go"},
		{URL: "redis+cluster://h", Prefix: "a{b}"},
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
