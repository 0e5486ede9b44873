package structure_test

import (
	"cmp"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// importable are the packages for users of the module.
var importable = []string{"codec", "engine", "gateway", "gateway/admin", "worker", "worker/stat", "worker/store",
	"worker/store/memcachedstore", "worker/store/redisstore", "worker/workertest", "worker/publisher"}

// unusedExports are exported without a use in the module, each with the reason.
var unusedExports = map[string]string{
	"bench/report.legend.Class":           "a template reads it",
	"bench/report.legend.Name":            "a template reads it",
	"bench/report.plot.Legend":            "a template calls it",
	"bench/report.plot.SVG":               "a template calls it",
	"internal/build.Of":                   "bench/peers calls it",
	"internal/faultproxy.Proxy.Received":  "tests ask how much was received; the program has the proxy for bench soak",
	"internal/faultproxy.Proxy.Corrupted": "tests ask whether a bit was changed; the program has the proxy for bench soak",
	"bench/report.pair.Value":             "the template of the page uses it",
	"internal/directory.Acquire":          "rows of rooms and of sessions will be held with it",
	"internal/directory.Lease.Epoch":      "rows of rooms and of sessions will be held with it",
	"internal/directory.Lease.Err":        "rows of rooms and of sessions will be held with it",
	"internal/directory.Lease.Held":       "rows of rooms and of sessions will be held with it",
	"internal/directory.Lease.Lost":       "rows of rooms and of sessions will be held with it",
	"internal/directory.Lease.Put":        "rows of rooms and of sessions will be held with it",
	"internal/directory.Lease.Release":    "rows of rooms and of sessions will be held with it",
	"internal/directory.Lease.Value":      "rows of rooms and of sessions will be held with it",
	"internal/directory.NewMemory":        "a single gateway has no directory yet: rooms and sessions will need one",
	"internal/link.ReasonNoWorker":        "a number of the protocol, see SPEC.md",
	"internal/delivery.Book.Verify":       "the schedules of the gateway check the machine",
	"internal/delivery.Link.Figures":      "tests of the gateway ask for them",
	"worker.OverflowDefault":              "the name of the zero value",
}

// Exported names are used by code that is no test. Those of an importable package may be used by a
// test, an example or a document instead, and so may those of a test kit: a package that the
// program does not import.
func TestExportsAreUsed(t *testing.T) {
	m := loaded(t)
	known, inProgram, checked := namesForUsers(t), m.program(), 0
	var found []string
	for _, e := range m.exports() {
		checked++
		name := e.name[strings.LastIndexByte(e.name, '.')+1:]
		forTests := slices.Contains(importable, e.in) || !inProgram[e.in]
		if !e.used && (!forTests || !known[name]) {
			found = append(found, e.name)
		}
	}
	if checked < 500 {
		t.Errorf("%d exported names found: that cannot be all", checked)
	}
	for _, name := range found {
		if unusedExports[name] == "" {
			t.Errorf("%s is exported, and nothing uses it", name)
		}
	}
	for name := range unusedExports {
		if !slices.Contains(found, name) {
			t.Errorf("%s is used, or gone: it needs no exception any more", name)
		}
	}
}

// namesForUsers returns the names that tests and examples use, and those in the code of documents.
func namesForUsers(t *testing.T) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	for _, name := range goFiles(t) {
		if !strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "bench/peers") ||
			strings.HasPrefix(name, "deploy/checks") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, read(t, name), parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				names[n.Sel.Name] = true
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok {
					names[key.Name] = true
				}
			case *ast.Ident: // within the package; not what a test declares, which is not exported
				names[n.Name] = true
			}
			return true
		})
	}
	documents, err := filepath.Glob(filepath.Join("..", "..", "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(documents, filepath.Join("..", "..", "README.md"),
		filepath.Join("..", "..", "ARCHITECTURE.md")) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i, part := range strings.Split(string(text), "`") {
			if i%2 == 1 { // between backquotes; of a fence, too
				for word := range strings.FieldsFuncSeq(part,
					func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_' }) {
					names[word] = true
				}
			}
		}
	}
	return names
}

// export is an exported name: of a package, a field or a method.
type export struct {
	in, name string
	used     bool // by code that is no test
}

// program returns the packages that the command consists of.
func (m *module) program() map[string]bool {
	in := map[string]bool{"": true}
	for _, u := range slices.Backward(m.packages) { // those that import first
		if in[u.path] {
			for _, p := range u.types.Imports() {
				if below, ok := strings.CutPrefix(p.Path(), m.path+"/"); ok {
					in[below] = true
				}
			}
		}
	}
	return in
}

// exports returns the exported names of all packages other than main packages, without methods that
// an interface requires.
func (m *module) exports() (all []export) {
	used, faces := m.uses(), m.interfaces()
	for _, u := range m.packages {
		if u.types.Name() == "main" {
			continue
		}
		add := func(o types.Object, of string) {
			if o.Exported() {
				all = append(all, export{u.path, u.path + "." + of + o.Name(), used[o.Pos()]})
			}
		}
		for _, name := range u.types.Scope().Names() {
			add(u.types.Scope().Lookup(name), "")
		}
		for _, named := range u.named() {
			of := named.Obj().Name() + "."
			for method := range named.Methods() {
				if !faces.ask(named, method.Name()) {
					add(method, of)
				}
			}
			members(named.Underlying(), func(o types.Object) { add(o, of) })
		}
	}
	slices.SortFunc(all, func(a, b export) int { return cmp.Compare(a.name, b.name) })
	return all
}

// members visits the fields of a struct, and of structs in it, and the methods of an interface.
func members(t types.Type, visit func(types.Object)) {
	switch t := t.(type) {
	case *types.Struct:
		for field := range t.Fields() {
			if !field.Embedded() {
				visit(field)
				members(field.Type(), visit)
			}
		}
	case *types.Interface:
		for method := range t.ExplicitMethods() {
			visit(method)
		}
	case *types.Slice:
		members(t.Elem(), visit)
	case *types.Map:
		members(t.Elem(), visit)
	}
}

// uses returns the positions of the declarations that are used. The receiver of a method does not
// use its type.
func (m *module) uses() map[token.Pos]bool {
	used := make(map[token.Pos]bool)
	for _, u := range m.packages {
		receivers := make(map[*ast.Ident]bool)
		for _, f := range u.files {
			for _, d := range f.Decls {
				if method, ok := d.(*ast.FuncDecl); ok && method.Recv != nil {
					ast.Inspect(method.Recv, func(n ast.Node) bool {
						if id, ok := n.(*ast.Ident); ok {
							receivers[id] = true
						}
						return true
					})
				}
			}
		}
		for id, o := range u.info.Uses {
			if !receivers[id] {
				used[o.Pos()] = true // of an instance of something generic, too, it is the place of the generic one
			}
		}
	}
	return used
}

// faces are interfaces.
type faces []*types.Interface

// interfaces returns the interfaces that the module declares, and those of the packages that it
// imports.
func (m *module) interfaces() (all faces) {
	all = append(all, types.Universe.Lookup("error").Type().Underlying().(*types.Interface))
	add := func(p *types.Package) {
		for _, name := range p.Scope().Names() {
			if t, ok := p.Scope().Lookup(name).(*types.TypeName); ok {
				if named, ok := t.Type().(*types.Named); ok && named.TypeParams().Len() == 0 {
					if i, ok := named.Underlying().(*types.Interface); ok && i.NumMethods() > 0 {
						all = append(all, i)
					}
				}
			}
		}
	}
	for _, p := range m.others {
		add(p)
	}
	for _, u := range m.packages {
		add(u.types)
	}
	return all
}

// ask reports whether one of the interfaces that a type implements has the method. Package errors
// looks for Unwrap and Is without a named interface.
func (all faces) ask(named *types.Named, method string) bool {
	if named.TypeParams().Len() > 0 {
		return false
	}
	for _, i := range all {
		for m := range i.Methods() {
			if m.Name() == method && types.Implements(types.NewPointer(named), i) {
				return true
			}
		}
	}
	return method == "Unwrap" || method == "Is"
}

func TestExports(t *testing.T) {
	t.Parallel()
	m := moduleOf(t, map[string]string{"a.go": `package p
import "fmt"
type Used struct { A, B int; own int; In struct{ C, D int } }
type Unused struct{}
func (Unused) Lone() {}
func (*Used) String() string { return "" }
func (*Used) Call() { f(Used{A: 1}) }
func (*Used) Call2() { }
func f(u Used) { u.Call2(); _ = u.In.C; fmt.Println(One) }
const (
	One = iota
	Two
)
type Face interface { M(); N() }
type face struct{}
func (face) M() {}
func (face) N() {}
func g(x Face) { x.M() }
type Of[T any] struct { V, W T }
func (o Of[T]) Get() T { return o.V }
func (o Of[T]) Got() T { return o.V }
var x = Of[int]{}.Get()
`})
	var unused []string
	for _, e := range m.exports() {
		if !e.used {
			unused = append(unused, path.Base(e.name))
		}
	}
	want := []string{"p.Face.N", "p.Of.Got", "p.Of.W", "p.Two", "p.Unused", "p.Unused.Lone", "p.Used.B", "p.Used.Call",
		"p.Used.D"}
	if !slices.Equal(unused, want) {
		t.Errorf("unused %q\nwant   %q", unused, want)
	}
}
