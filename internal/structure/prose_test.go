package structure_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// columns is how long a line of prose may be, in characters.
const columns = 100

// wide are the documents whose prose may be wider.
var wide = []string{
	"docs/runs/peers/table.md", // made by a program
}

var (
	codeSpan = regexp.MustCompile("`[^`]*`")
	linked   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	testName = regexp.MustCompile(`\b(?:Test|Benchmark|Fuzz)[A-Z]\w*`)
	exported = regexp.MustCompile("`(?:\\w+\\.)*([A-Z][a-z]+[A-Z]\\w*|[A-Z][a-z]{3,})(?:\\(\\))?`")
	pathName = regexp.MustCompile("`((?:bench|chat|codec|docs|e2e|engine|gateway|internal|worker)(?:/[\\w.-]+)+)/?`")
)

// Prose outside of code and tables ends by the same column everywhere.
func TestProseIsNarrow(t *testing.T) {
	t.Chdir("../..")
	for _, name := range documents(t) {
		if slices.Contains(wide, name) {
			continue
		}
		for _, l := range proseOf(t, name) {
			if n := utf8.RuneCountInString(l.text); !l.table && n > columns {
				t.Errorf("%s:%d: %d columns", name, l.at, n)
			}
		}
	}
}

// A row of a table has as many cells as its heading. A | in code separates cells too, unless a
// backslash precedes it.
func TestTablesAreWhole(t *testing.T) {
	t.Chdir("../..")
	for _, name := range documents(t) {
		cells, last := 0, 0
		for _, l := range proseOf(t, name) {
			if !l.table {
				continue
			}
			n := strings.Count(strings.ReplaceAll(l.text, `\|`, ""), "|")
			if l.at != last+1 {
				cells = n
			}
			if last = l.at; n != cells {
				t.Errorf("%s:%d: %d cells, the heading has %d", name, l.at, n-1, cells-1)
			}
		}
	}
}

// A relative link leads to a file, and its fragment to a heading of that.
func TestLinksLeadSomewhere(t *testing.T) {
	t.Chdir("../..")
	found := 0
	for _, name := range documents(t) {
		for _, l := range proseOf(t, name) {
			for _, m := range linked.FindAllStringSubmatch(codeSpan.ReplaceAllString(l.text, ""), -1) {
				if strings.Contains(m[1], "://") {
					continue
				}
				found++
				file, fragment, _ := strings.Cut(m[1], "#")
				target := name
				if file != "" {
					target = path.Join(path.Dir(name), file)
				}
				if _, err := os.Stat(target); err != nil {
					t.Errorf("%s:%d: %v", name, l.at, err)
				} else if fragment != "" && !slices.Contains(fragmentsOf(t, target), fragment) {
					t.Errorf("%s:%d: %s has no heading #%s", name, l.at, target, fragment)
				}
			}
		}
	}
	if found < 30 {
		t.Errorf("%d links found: that cannot be all", found)
	}
}

// Tests, files and folders that documents name in code exist.
func TestWhatDocumentsNameExists(t *testing.T) {
	t.Chdir("../..")
	tests := allTests(t)
	for _, name := range documents(t) {
		for _, l := range proseOf(t, name) {
			for _, span := range codeSpan.FindAllString(l.text, -1) {
				for _, test := range testName.FindAllString(span, -1) {
					if !slices.ContainsFunc(tests, func(s string) bool { return strings.HasPrefix(s, test) }) {
						t.Errorf("%s:%d: there is no %s", name, l.at, test)
					}
				}
			}
			for _, m := range pathName.FindAllStringSubmatch(l.text, -1) {
				if _, err := os.Stat(m[1]); err != nil {
					t.Errorf("%s:%d: %v", name, l.at, err)
				}
			}
		}
	}
}

// Go names in documents, a field or a counter for example, exist in the sources. The changelog also
// has old names.
func TestNamesInDocumentsAreOurs(t *testing.T) {
	t.Chdir("../..")
	// Header fields, a function of package runtime, an option of gws.
	notOurs := []string{"Host", "Origin", "Connection", "Forwarded", "Gosched", "ParallelEnabled"}
	names := allNames(t)
	for _, name := range documents(t) {
		if name == "CHANGELOG.md" {
			continue
		}
		for _, l := range proseOf(t, name) {
			for _, m := range exported.FindAllStringSubmatch(l.text, -1) {
				if !names[m[1]] && !slices.Contains(notOurs, m[1]) {
					t.Errorf("%s:%d: nothing is named %s", name, l.at, m[1])
				}
			}
		}
	}
}

func TestFragment(t *testing.T) {
	t.Parallel()
	for heading, want := range map[string]string{
		"Signals and exit codes":                  "signals-and-exit-codes",
		"Replacing workers, stopping gateways":    "replacing-workers-stopping-gateways",
		"[Unreleased]":                            "unreleased",
		"A `Call` is one event (of one client) 2": "a-call-is-one-event-of-one-client-2",
	} {
		if got := fragment(heading); got != want {
			t.Errorf("%q: %q, want %q", heading, got, want)
		}
	}
}

// documents are the Markdown files of the module.
func documents(t *testing.T) (names []string) {
	t.Helper()
	walk(t, func(name string) {
		if filepath.Ext(name) == ".md" {
			names = append(names, name)
		}
	})
	if len(names) < 10 {
		t.Fatalf("%d documents found: that cannot be all", len(names))
	}
	return names
}

// allTests are the names of the module's tests.
func allTests(t *testing.T) (names []string) {
	t.Helper()
	walk(t, func(name string) {
		if !strings.HasSuffix(name, "_test.go") {
			return
		}
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range defined.FindAllSubmatch(source, -1) {
			names = append(names, string(f[1]))
		}
	})
	return names
}

// allNames returns the exported names in the module's code and tests: types, functions, fields and
// all others.
func allNames(t *testing.T) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	walk(t, func(name string) {
		if filepath.Ext(name) != ".go" || strings.HasPrefix(name, "internal/structure/") {
			return
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && id.IsExported() {
				names[id.Name] = true
			}
			return true
		})
	})
	return names
}

// walk calls f with the path of each file below the current folder, with slashes. It leaves out
// hidden folders and packages of others.
func walk(t *testing.T, f func(name string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." &&
			(strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_") || d.Name() == "node_modules"):
			return filepath.SkipDir
		case !d.IsDir():
			f(filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// line is one of a document, outside of code.
type line struct {
	at    int // from 1 on
	text  string
	table bool
}

// proseOf are the lines of a document that are not in a block of code.
func proseOf(t *testing.T, name string) (lines []line) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	code, at := false, 0
	for s := range strings.SplitSeq(string(text), "\n") {
		at++
		trimmed := strings.TrimSpace(s)
		if strings.HasPrefix(trimmed, "```") {
			code = !code
			continue
		}
		if !code {
			lines = append(lines, line{at, s, strings.HasPrefix(trimmed, "|")})
		}
	}
	if code {
		t.Errorf("%s: a block of code does not end", name)
	}
	return lines
}

// fragmentsOf returns the fragments of links to the headings of a document. Equal headings are
// numbered as GitHub does.
func fragmentsOf(t *testing.T, name string) (all []string) {
	t.Helper()
	seen := make(map[string]int)
	for _, l := range proseOf(t, name) {
		if heading := strings.TrimLeft(l.text, "#"); strings.HasPrefix(heading, " ") && heading != l.text {
			f := fragment(strings.TrimSpace(heading))
			if seen[f]++; seen[f] > 1 {
				f = fmt.Sprintf("%s-%d", f, seen[f]-1)
			}
			all = append(all, f)
		}
	}
	return all
}

// fragment is what GitHub makes of a heading: lower case, hyphens for spaces, no punctuation.
func fragment(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}
