package dashboard_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestPureParts runs the tests of the page's functions that need no browser.
func TestPureParts(t *testing.T) {
	t.Parallel()
	node, err := exec.LookPath("node")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("no Node.js: CI must have it")
		}
		t.Skip("NOT TESTED: there is no Node.js here")
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("page")); err != nil {
		t.Fatal(err)
	}
	const test = "pure.test.js"
	text, err := os.ReadFile(filepath.Join("testdata", test))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{test: string(text), "package.json": `{"type":"module"}`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.CommandContext(t.Context(), node, "--test", test)
	c.Dir, c.Env = dir, append(os.Environ(), "TZ=Europe/Berlin", "LC_ALL=en_US.UTF-8", "LANG=en_US.UTF-8")
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
