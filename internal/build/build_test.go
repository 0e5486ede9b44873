package build

import (
	"runtime/debug"
	"testing"
)

// What is built from a repository can be told apart by its commit, though the module has no version.
func TestVersion(t *testing.T) {
	t.Parallel()
	info := &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}
	for _, c := range []struct {
		settings []debug.BuildSetting
		want     string
	}{
		{nil, "(devel)"},
		{[]debug.BuildSetting{{Key: "GOOS", Value: "linux"}, {Key: "vcs.revision", Value: "c0ffee"}, {Key: "vcs.modified", Value: "false"}}, "(devel) c0ffee"},
		{[]debug.BuildSetting{{Key: "vcs.revision", Value: "c0ffee"}, {Key: "vcs.modified", Value: "true"}}, "(devel) c0ffee modified"},
	} {
		info.Settings = c.settings
		if got := version(info); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
