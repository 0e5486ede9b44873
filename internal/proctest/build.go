package proctest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// Build builds the program and returns its path. It is linked once for all tests and packages.
func Build(tb testing.TB) string {
	tb.Helper()
	return cached(tb, "github.com/seed-7410fe32/sluice")
}

// BuildTest builds a test program in a directory below the test's own, and returns its path.
func BuildTest(tb testing.TB, dir string) string {
	tb.Helper()
	return cached(tb, "./"+dir)
}

// built maps a program's name to a function that builds it once in this process.
var built sync.Map

func cached(tb testing.TB, program string) string {
	tb.Helper()
	build, _ := built.LoadOrStore(program, sync.OnceValues(func() (string, error) {
		if err := readSources(); err != nil {
			return "", fmt.Errorf("the program's sources: %w", err)
		}
		return buildInCache(program)
	}))
	bin, err := build.(func() (string, error))()
	if err != nil {
		tb.Fatalf("build: %v", err)
	}
	return bin
}

// buildInCache builds a program into go's cache, as "go run" does, and returns its path there. All
// tested packages share it, and it need not be removed.
func buildInCache(program string) (bin string, err error) {
	for range 3 { // the run that links names a temporary file, the next run names the file in the cache
		cmd := exec.Command("go", "run", "-exec", "echo", program)
		cmd.Stderr = new(strings.Builder)
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("%w\n%s", err, cmd.Stderr)
		}
		bin = strings.TrimSpace(string(out))
		if _, err := os.Stat(bin); err == nil {
			return bin, nil
		}
	}
	return "", errors.New("go run keeps no program in its cache")
}

// buildHere builds a program with its own flags for one test.
func buildHere(tb testing.TB, program string, flags ...string) string {
	tb.Helper()
	if err := readSources(); err != nil {
		tb.Fatal(err)
	}
	bin := filepath.Join(tb.TempDir(), filepath.Base(program))
	args := append(append([]string{"build", "-o", bin}, flags...), program)
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		tb.Fatalf("build: %v\n%s", err, out)
	}
	return bin
}

// readSources makes go test record that the test depends on the program's sources. Otherwise the go
// command would print the cached result of an earlier program.
func readSources() error {
	mod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return err
	}
	root := filepath.Dir(strings.TrimSpace(string(mod)))
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		name := d.Name()
		if d.IsDir() && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "testdata") {
			return fs.SkipDir
		}
		return err
	})
}
