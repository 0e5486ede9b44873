package structure_test

import (
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// front are the names that the root has, besides dot files.
var front = []string{
	"engine", "codec", "gateway", "worker", "directory", "chat", "bench",
	"main.go", "go.mod", "go.sum",
	"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "LICENSE",
	"internal", "docs", "e2e",
}

// optional are names that the root may have.
var optional = []string{"deploy"}

// The root is what a reader sees first: it has the names that are listed above. Files that are not
// in the repository are ignored.
func TestTheRootIsAFrontDoor(t *testing.T) {
	t.Chdir("../..")
	out, err := exec.Command("git", "ls-files", "-z").Output()
	if err != nil && os.Getenv("CI") != "true" {
		t.Skipf("NOT TESTED: this is no checkout: git ls-files: %v", err)
	}
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	there := atRoot(string(out))
	for _, name := range there {
		if !slices.Contains(front, name) && !slices.Contains(optional, name) && !strings.HasPrefix(name, ".") {
			t.Errorf("%s is at the root", name)
		}
	}
	for _, name := range front {
		if !slices.Contains(there, name) {
			t.Errorf("the root has no %s", name)
		}
	}
}

// main.go starts the command and has no other code.
func TestMainIsThin(t *testing.T) {
	t.Chdir("../..")
	main, err := parser.ParseFile(token.NewFileSet(), "main.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(main.Decls) != 2 {
		t.Errorf("main.go has %d declarations, not an import and a function", len(main.Decls))
	}
	for _, i := range main.Imports {
		if name, err := strconv.Unquote(i.Path.Value); err != nil ||
			name != "os" && !strings.HasSuffix(name, "/internal/cli") {
			t.Errorf("main.go imports %s: it calls internal/cli, and no more", i.Path.Value)
		}
	}
}

func TestAtRoot(t *testing.T) {
	t.Parallel()
	got := atRoot(".ci/run\x00codec/a.go\x00codec/b.go\x00extra.go\x00")
	if want := []string{".ci", "codec", "extra.go"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// atRoot returns the first parts of paths that each end with a NUL, every one once.
func atRoot(paths string) (names []string) {
	for path := range strings.SplitSeq(strings.TrimSuffix(paths, "\x00"), "\x00") {
		if name, _, _ := strings.Cut(path, "/"); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
