package structure_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	command = regexp.MustCompile("go test((?: '[^']*'| [^ `|)]+)+)")
	pattern = regexp.MustCompile(`-(?:run|bench) (?:'([^']*)'|(\S+))`)
	defined = regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz|Example)\w*)\(`)
)

// A command in a document that runs tests by name runs at least one: every alternative of its
// pattern matches a test of its package.
func TestCommandsInDocumentsRunTests(t *testing.T) {
	t.Chdir("../..")
	documents, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	tests, found := make(map[string][]string), 0
	for _, name := range append(documents, "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range command.FindAllStringSubmatch(string(text), -1) {
			for _, p := range pattern.FindAllStringSubmatch(m[1], -1) {
				top, _, _ := strings.Cut(p[1]+p[2], "/")
				found++
				all := []string{top}
				if !strings.Contains(top, "(") {
					all = strings.Split(top, "|")
				}
				for _, each := range all {
					if each != "^$" && !hasTest(t, tests, packagesOf(m[1]), each) {
						t.Errorf("%s: %s: there is no %q in %v", name, m[0], each, packagesOf(m[1]))
					}
				}
			}
		}
	}
	if found < 100 {
		t.Errorf("%d commands found: that cannot be all", found)
	}
}

// packagesOf returns the folders that a command's arguments name, the root without any.
func packagesOf(arguments string) (folders []string) {
	for word := range strings.FieldsSeq(arguments) {
		if word == "." || strings.HasPrefix(word, "./") {
			folders = append(folders, word)
		}
	}
	if folders == nil {
		return []string{"."}
	}
	return folders
}

// hasTest reports whether each folder has a test whose name matches. It caches the tests of a
// folder in tests.
func hasTest(t *testing.T, tests map[string][]string, folders []string, name string) bool {
	t.Helper()
	fits, err := regexp.Compile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		if tests[folder] == nil {
			tests[folder] = testsOf(t, folder)
		}
		if !slices.ContainsFunc(tests[folder], fits.MatchString) {
			return false
		}
	}
	return true
}

// testsOf returns the names of a folder's tests.
func testsOf(t *testing.T, folder string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range defined.FindAllSubmatch(source, -1) {
			names = append(names, string(f[1]))
		}
	}
	return names
}
