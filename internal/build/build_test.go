package build

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
)

// A build from a repository is identified by its commit, although the module has no version.
func TestVersion(t *testing.T) {
	t.Parallel()
	info := &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}
	for _, c := range []struct {
		settings []debug.BuildSetting
		want     string
	}{
		{nil, "(devel)"},
		{[]debug.BuildSetting{{Key: "GOOS", Value: "linux"}, {Key: "vcs.revision", Value: "c0ffee"},
			{Key: "vcs.modified", Value: "false"}}, "(devel) c0ffee"},
		{[]debug.BuildSetting{{Key: "vcs.revision", Value: "c0ffee"}, {Key: "vcs.modified", Value: "true"}},
			"(devel) c0ffee modified"},
	} {
		info.Settings = c.settings
		if got := version(info); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// TestCheckout builds a program in a checkout, as the go command does it. The program reports its
// commit and whether a file was changed since, by both functions.
func TestCheckout(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("NOT TESTED: there is no git")
	}
	dir := t.TempDir()
	source, err := os.ReadFile("build.go")
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run := func(name string, args ...string) string {
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", name, args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	write("go.mod", "module example\n")
	write("build/build.go", string(source))
	write("main.go", "package main\n\nimport \"example/build\"\n\nfunc main() { print(build.Version()) }\n")
	run("git", "init", "-q")
	run("git", "add", ".")
	run("git", "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-q", "-m", "first")
	program := filepath.Join(t.TempDir(), "program")
	run("go", "build", "-buildvcs=true", "-o", program, ".")
	commit := run("git", "rev-parse", "HEAD")
	if said := run(program); !strings.HasSuffix(said, " "+commit) || Of(program) != said {
		t.Errorf("of commit %s it says %q, and others of it %q", commit, said, Of(program))
	}
	write("more.go", "package main\n")
	run("go", "build", "-buildvcs=true", "-o", program, ".")
	if said := run(program); !strings.HasSuffix(said, " "+commit+" modified") {
		t.Errorf("of a changed checkout it says %q", said)
	}
	if said := Of("build.go"); said != "" {
		t.Errorf("of what is no program: %q", said)
	}
}
