package worker_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// The worker in README.md is a complete program, and its test passes, in a module of its own and
// without the network.
func TestReadmesWorker(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) []byte {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	module := regexp.MustCompile(`(?m)^module (\S+)\n\n(go \S+)$`).FindSubmatch(read("go.mod"))
	dir := t.TempDir()
	write := func(name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	blocks := regexp.MustCompile("(?s)`(\\w+\\.go)`:\n```go\n(.*?)```").FindAllSubmatch(read("README.md"), -1)
	if len(blocks) != 2 || module == nil {
		t.Fatalf("README.md has %d files of a worker", len(blocks))
	}
	for _, b := range blocks {
		write(string(b[1]), b[2])
	}
	name := string(module[1])
	write("go.mod", fmt.Appendf(nil, "module example.com/room\n\n%s\n\nrequire %s v0.0.0\n\nreplace %s => %s\n",
		module[2], name, name, root))
	write("go.sum", read("go.sum"))
	for _, args := range [][]string{{"vet", "."}, {"test", "."}} {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go %v: %v\n%s", args, err, out)
		}
	}
}
