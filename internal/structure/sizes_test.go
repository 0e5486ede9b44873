package structure_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

const (
	maxFileLines     = 399 // of a file that is no test
	maxFunctionLines = 59  // from its first line to its closing brace; of code that is no test
	maxColumns       = 120 // characters of a line of code, a tab being one, and its comment
	maxTextColumns   = 100 // of a line that is a comment
)

func TestSizes(t *testing.T) {
	lines, functions := make(map[string]int), make(map[string]int)
	for _, name := range goFiles(t) {
		s := sizesOf(t, name, read(t, name))
		if len(s.longLines) > 0 {
			t.Errorf("%s: more than %d columns in lines %v", name, maxColumns, s.longLines)
		}
		if len(s.longComments) > 0 {
			t.Errorf("%s: more than %d columns in the comments of lines %v", name, maxTextColumns, s.longComments)
		}
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		lines[name] = s.lines
		for f, n := range s.functions {
			functions[name+": "+f] = n
		}
	}
	wantNone(t, exceeding("lines", maxFileLines, 0, lines, nil))
	wantNone(t, exceeding("lines", maxFunctionLines, 0, functions, nil))
}

// read reads a file below the root.
func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// sizes are the sizes of a file.
type sizes struct {
	lines                   int
	functions               map[string]int // lines, by name
	longLines, longComments []int          // line numbers
}

func sizesOf(t *testing.T, name, text string) (s sizes) {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	s = sizes{lines: strings.Count(text, "\n"), functions: make(map[string]int)}
	line := func(at token.Pos) int { return set.Position(at).Line }
	verbatim := make(map[int]bool) // lines of raw strings that go on below: what stands there is data
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			s.functions[n.Name.Name] = max(s.functions[n.Name.Name], line(n.End())-line(n.Pos())+1)
		case *ast.BasicLit:
			for l := line(n.Pos()); l <= line(n.End()) && line(n.End()) > line(n.Pos()); l++ {
				verbatim[l] = true
			}
		}
		return true
	})
	limit := make(map[int]int) // of comment lines
	for _, group := range file.Comments {
		for _, c := range group.List {
			for l := line(c.Pos()); l <= line(c.End()); l++ {
				limit[l] = maxTextColumns
			}
		}
	}
	for i, text := range strings.Split(text, "\n") {
		l, columns, trimmed := i+1, utf8.RuneCountInString(text), strings.TrimSpace(text)
		comment := limit[l] != 0 && (strings.HasPrefix(trimmed, "//") || !strings.Contains(trimmed, "//"))
		switch {
		case verbatim[l] || strings.HasPrefix(trimmed, "//go:"):
		case comment && strings.HasPrefix(trimmed, "//\t") && columns <= maxColumns: // a drawing or a piece of code
		case comment && columns > maxTextColumns && strings.Count(trimmed, " ") > 1: // a long word cannot be cut
			s.longComments = append(s.longComments, l)
		case !comment && columns > maxColumns:
			s.longLines = append(s.longLines, l)
		}
	}
	return s
}

func TestSizesOf(t *testing.T) {
	t.Parallel()
	text := strings.Join([]string{
		"package p",
		"",
		"// F " + strings.Repeat("x ", 47) + "x",
		"//",
		"// F " + strings.Repeat("x ", 47) + "xx",
		"// https://example.org/" + strings.Repeat("x", 100),
		"//\tx " + strings.Repeat("x", 115),
		"//\tx x " + strings.Repeat("x", 114),
		"func F() {",
		"\t_ = \"" + strings.Repeat("x", 113) + "\"",
		"\t_ = \"" + strings.Repeat("x", 114) + "\"",
		"\t_ = \"" + strings.Repeat("ä", 113) + "\"",
		"\t_ = 0 // " + strings.Repeat("x", 111),
		"\t_ = `",
		strings.Repeat("x", 200),
		"`",
		"}",
		"",
		"func (f f) G() {}",
		"",
		"type f struct{}",
		"",
	}, "\n")
	s := sizesOf(t, "p.go", text)
	if s.lines != 21 || s.functions["F"] != 9 || s.functions["G"] != 1 {
		t.Errorf("%d lines, functions %v", s.lines, s.functions)
	}
	if want := []int{11, 13}; !slices.Equal(s.longLines, want) {
		t.Errorf("lines %v are too long, want %v", s.longLines, want)
	}
	if want := []int{5, 8}; !slices.Equal(s.longComments, want) {
		t.Errorf("the comments of lines %v are too long, want %v", s.longComments, want)
	}
}
