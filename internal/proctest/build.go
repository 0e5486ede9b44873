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

// Build builds the program and returns its path. It is linked once, however many tests and packages
// call Build.
func Build(tb testing.TB) string {
	tb.Helper()
	return cached(tb, "github.com/seed-7410fe32/sluice")
}

// BuildTest builds a program for tests, in a directory below the test's own, and returns its path.
func BuildTest(tb testing.TB, dir string) string {
	tb.Helper()
	return cached(tb, "./"+dir)
}

// built holds, by the program's name, a function that builds it once for this process.
var built sync.Map

func cached(tb testing.TB, program string) string {
	tb.Helper()
	build, _ := built.LoadOrStore(program, sync.OnceValues(func() (string, error) {
		if err := readSources(); err != nil {
			return "", fmt.Errorf("the program's sources: %w", err)
		}
		return inCache(program)
	}))
	bin, err := build.(func() (string, error))()
	if err != nil {
		tb.Fatalf("build: %v", err)
	}
	return bin
}

// inCache builds a program into the go command's cache, as "go run" does, and returns its path
// there. All packages under test share it, and nothing has to be removed.
func inCache(program string) (bin string, err error) {
	for range 3 { // the run that links it names a temporary file, the next one that in the cache
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

// buildHere builds a program with additional flags, for one test.
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

// readSources opens the program's sources, so that the go command knows that the test's result
// depends on them. Otherwise it would report the result for an earlier program ("cached").
func readSources() error {
	mod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return err
	}
	return filepath.WalkDir(filepath.Dir(strings.TrimSpace(string(mod))),
		func(path string, d fs.DirEntry, err error) error {
			if name := d.Name(); d.IsDir() && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "testdata") {
				return fs.SkipDir
			}
			return err
		})
}
