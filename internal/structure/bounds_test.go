// Package structure_test reads the sources of the module and checks rules that the compiler does
// not know.
package structure_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// bounded are the folders whose queues must be in the table of bounds.
var bounded = []string{
	"chat/store",
	"codec",
	"engine",
	"gateway",
	"gateway/admin",
	"internal/directory",
	"internal/directory/redisdir",
	"internal/executor",
	"internal/kv",
	"internal/link",
	"internal/logs",
	"internal/narrow",
	"internal/record",
	"internal/registry",
	"internal/stats/alert",
	"internal/stats/forward",
	"internal/stats/intake",
	"internal/stats/keep",
	"worker",
	"worker/discover",
	"worker/publisher",
	"worker/stat",
	"worker/store",
	"worker/store/internal/remote",
	"worker/store/memcachedstore",
	"worker/store/redisstore",
}

// Each field or package variable that may grow names in a comment on its line the row of
// ARCHITECTURE.md that bounds it, by the beginning of the row,
//
//	waiting []*session // oldest first; bound: messages that wait while no worker is there
//
// or gives the reason why there is none: "bound: none, one for each listener". A field or variable
// may grow when its type is a map, a channel of values, a pool of package sync, or a slice that
// something is appended to. Exported ones belong to the caller and are no queues.
func TestEveryQueueHasARow(t *testing.T) {
	t.Chdir("../..")
	rows := rowsOfBounds(t)
	found := 0
	for _, folder := range bounded {
		for _, g := range growing(t, folder) {
			found++
			switch row, ok := strings.CutPrefix(g.marker, "bound: "); {
			case !ok:
				t.Errorf("%s: %s %s has no comment \"bound: …\" on its line", g.at, g.kind, g.name)
			case strings.HasPrefix(row, "none, ") && len(row) > len("none, "):
			case countPrefix(rows, row) != 1:
				t.Errorf("%s: %s %s: %d rows of the table of bounds begin with %q, want one", g.at, g.kind, g.name,
					countPrefix(rows, row), row)
			}
		}
	}
	if found < 50 {
		t.Errorf("%d queues, maps and pools found: that cannot be all", found)
	}
}

// The kinds of fields and variables that may grow.
func TestWhatMayGrow(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const source = `package p
type list []int
type s struct {
	m       map[int]int // bound: a row
	c       <-chan int
	done    chan struct{}
	p, q    sync.Pool
	fixed   []int
	Told    map[string]int
	appended []int // that wait; bound: none, it is short
	cut     []int
	own     list
	ptr     *map[int]int
	atom    atomic.Pointer[map[int]int]
	of      [4]struct{ free []int }
	f       func(map[int]int)
}
var global = make(map[int]int)
var known = []int{1}
func (x *s) f() {
	local := append([]int(nil), x.fixed...)
	x.appended = append(x.appended, 1)
	x.cut = append(x.cut[:0], 1)
	x.of[0].free = append(x.of[0].free, local...)
}
`
	if err := os.WriteFile(filepath.Join(dir, "p.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, g := range growing(t, dir) {
		got = append(got, strings.TrimSpace(g.name+" "+g.marker))
	}
	want := []string{"m bound: a row", "c", "p", "q", "appended bound: none, it is short", "cut", "own", "ptr", "atom",
		"free", "global"}
	if !slices.Equal(got, want) {
		t.Errorf("found %q\nwant  %q", got, want)
	}
}

// rowsOfBounds returns the first cells of the table of bounds.
func rowsOfBounds(t *testing.T) (rows []string) {
	t.Helper()
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "\n| queue | bound |")
	if !ok {
		t.Fatal("ARCHITECTURE.md has no table of bounds")
	}
	for line := range strings.SplitSeq(table, "\n") {
		if cells := strings.Split(line, " | "); len(cells) > 3 && strings.HasPrefix(line, "| ") {
			rows = append(rows, strings.TrimPrefix(cells[0], "| "))
		}
	}
	return rows
}

func countPrefix(rows []string, prefix string) (n int) {
	for _, row := range rows {
		if strings.HasPrefix(row, prefix) {
			n++
		}
	}
	return n
}

// grower is a field or a package variable that may grow.
type grower struct{ name, kind, marker, at string }

// growing returns the fields and variables that may grow, of the files in a folder that are no
// tests.
func growing(t *testing.T, folder string) (all []grower) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: no files, %v", folder, err)
	}
	look := looker{set: token.NewFileSet(), lists: map[string]bool{}, appended: map[string]bool{},
		lines: map[string][]string{}}
	var parsed []*ast.File
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parser.ParseFile(look.set, name, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		look.lines[name] = strings.Split(string(text), "\n")
		parsed = append(parsed, f)
		ast.Inspect(f, look.note)
	}
	for _, f := range parsed {
		for _, d := range f.Decls {
			if g, ok := d.(*ast.GenDecl); ok {
				for _, spec := range g.Specs {
					ast.Inspect(spec, look.collect)
				}
			}
		}
	}
	return look.found
}

// looker knows, by names alone, which types of a package are lists and which fields something is
// appended to.
type looker struct {
	set             *token.FileSet
	lists, appended map[string]bool
	lines           map[string][]string // of each file
	found           []grower
}

// note records named types that are slices, maps or channels, and the first argument of append.
func (l *looker) note(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.TypeSpec:
		switch n.Type.(type) {
		case *ast.ArrayType, *ast.MapType, *ast.ChanType:
			if a, ok := n.Type.(*ast.ArrayType); !ok || a.Len == nil {
				l.lists[n.Name.Name] = true
			}
		}
	case *ast.CallExpr:
		if f, ok := n.Fun.(*ast.Ident); ok && f.Name == "append" && len(n.Args) > 0 {
			l.appended[nameOf(n.Args[0])] = true
		}
	case *ast.AssignStmt:
		for i, right := range n.Rhs {
			if call, ok := right.(*ast.CallExpr); ok && i < len(n.Lhs) && nameOf(call.Fun) == "append" {
				l.appended[nameOf(n.Lhs[i])] = true
			}
		}
	}
	return true
}

// nameOf returns the last name of x, a.b.x, x[:n] or x[i].
func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.SliceExpr:
		return nameOf(e.X)
	case *ast.IndexExpr:
		return nameOf(e.X)
	}
	return ""
}

// collect adds fields of types and package variables that may grow.
func (l *looker) collect(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.StructType:
		for _, f := range n.Fields.List {
			for _, name := range f.Names {
				l.consider(name, f.Type)
			}
		}
	case *ast.ValueSpec:
		for i, name := range n.Names {
			typ := n.Type
			if typ == nil && i < len(n.Values) {
				typ = made(n.Values[i])
			}
			l.consider(name, typ)
		}
	case *ast.FuncType, *ast.InterfaceType:
		return false
	}
	return true
}

// made returns the type of the result of make or of a literal, nil for other values.
func made(value ast.Expr) ast.Expr {
	switch v := value.(type) {
	case *ast.CallExpr:
		if nameOf(v.Fun) == "make" && len(v.Args) > 0 {
			return v.Args[0]
		}
	case *ast.CompositeLit:
		return v.Type
	}
	return nil
}

var marked = regexp.MustCompile(`// (?:.*; )?(bound: .*\S)`)

func (l *looker) consider(name *ast.Ident, typ ast.Expr) {
	kind := l.kindOf(typ)
	if name.IsExported() || kind == "" || kind == "slice" && !l.appended[name.Name] {
		return
	}
	at := l.set.Position(name.Pos())
	g := grower{name: name.Name, kind: kind, at: at.String()}
	if found := marked.FindStringSubmatch(l.lines[at.Filename][at.Line-1]); found != nil {
		g.marker = found[1]
	}
	l.found = append(l.found, g)
}

// kindOf returns the kind of a type that may grow, "" for others.
func (l *looker) kindOf(typ ast.Expr) string {
	switch x := typ.(type) {
	case *ast.StarExpr:
		return l.kindOf(x.X)
	case *ast.MapType:
		return "map"
	case *ast.ChanType:
		if of, ok := x.Value.(*ast.StructType); ok && len(of.Fields.List) == 0 {
			return "" // a signal
		}
		return "channel"
	case *ast.ArrayType:
		if x.Len != nil {
			return l.kindOf(x.Elt)
		}
		return "slice"
	case *ast.Ident:
		if l.lists[x.Name] {
			return "list"
		}
	case *ast.IndexExpr: // of atomic.Pointer, for example
		return l.kindOf(x.Index)
	case *ast.SelectorExpr:
		if of := fmt.Sprint(x.X); of == "sync" && (x.Sel.Name == "Pool" || x.Sel.Name == "Map") {
			return "pool"
		}
	}
	return ""
}
