package structure_test

import (
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"testing"
)

// globals are the package variables that change while the program runs, each with the reason why it
// belongs to the process.
var globals = map[string]string{
	"internal/proctest.built": "a test process builds each program once",
	"internal/proctest.networks": "names of network namespaces are the machine's, so a process counts those that it " +
		"has made",
}

// Every state has an owner, and a package is not one.
func TestPackagesHoldNoState(t *testing.T) {
	found := loaded(t).mutable()
	for _, name := range found {
		if globals[name] == "" {
			t.Errorf("%s is a package variable that changes: give its state an owner", name)
		}
	}
	for name := range globals {
		if !slices.Contains(found, name) {
			t.Errorf("%s is constant, or gone: it needs no exception any more", name)
		}
	}
}

// mutable returns the package variables that change: those that are assigned to after their
// declaration, wholly or in part, or whose address is taken, or whose type holds state that methods
// change.
func (m *module) mutable() []string {
	globals, changed := make(map[types.Object]string), make(map[string]bool)
	for _, u := range m.packages {
		for _, name := range u.types.Scope().Names() {
			if v, ok := u.types.Scope().Lookup(name).(*types.Var); ok {
				globals[v] = u.name(v)
				if m.stateful(v.Type(), make(map[types.Type]bool)) {
					changed[u.name(v)] = true
				}
			}
		}
	}
	for _, u := range m.packages {
		for _, f := range u.files {
			ast.Inspect(f, func(n ast.Node) bool {
				for _, e := range targets(u.info, n) {
					if id := root(u.info, e); id != nil && globals[u.info.Uses[id]] != "" {
						changed[globals[u.info.Uses[id]]] = true
					}
				}
				return true
			})
		}
	}
	return slices.Sorted(maps.Keys(changed))
}

// targets returns the expressions that a node assigns to or takes the address of.
func targets(info *types.Info, n ast.Node) []ast.Expr {
	switch n := n.(type) {
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			return n.Lhs
		}
	case *ast.IncDecStmt:
		return []ast.Expr{n.X}
	case *ast.RangeStmt:
		if n.Tok == token.ASSIGN {
			return []ast.Expr{n.Key, n.Value}
		}
	case *ast.UnaryExpr:
		if n.Op == token.AND {
			return []ast.Expr{n.X}
		}
	case *ast.SelectorExpr: // a method of a pointer, called on a value
		if s := info.Selections[n]; s != nil && s.Kind() == types.MethodVal {
			_, pointer := s.Recv().Underlying().(*types.Pointer)
			_, wants := s.Obj().(*types.Func).Signature().Recv().Type().(*types.Pointer)
			if wants && !pointer {
				return []ast.Expr{n.X}
			}
		}
	case *ast.CallExpr:
		if f, ok := n.Fun.(*ast.Ident); ok && (f.Name == "delete" || f.Name == "clear") && len(n.Args) > 0 {
			return n.Args[:1]
		}
	}
	return nil
}

// root returns the variable that an expression is a part of: x for x.f[i], and for p.x, where p is
// a package.
func root(info *types.Info, e ast.Expr) *ast.Ident {
	switch e := e.(type) {
	case *ast.Ident:
		return e
	case *ast.ParenExpr:
		return root(info, e.X)
	case *ast.IndexExpr:
		return root(info, e.X)
	case *ast.StarExpr:
		return root(info, e.X)
	case *ast.SelectorExpr:
		id := root(info, e.X)
		if _, ok := info.Uses[id].(*types.PkgName); ok {
			return e.Sel
		}
		return id
	}
	return nil
}

// stateful reports whether values of a type change through their methods: locks, pools, atomic
// values and channels, and types that contain them. A pointer counts when it points to a type of
// the module: types of others may have a lock in what does not change.
func (m *module) stateful(t types.Type, seen map[types.Type]bool) bool {
	if seen[t] {
		return false
	}
	seen[t] = true
	if inSync(t) {
		return true
	}
	switch t := t.Underlying().(type) {
	case *types.Chan:
		return true
	case *types.Pointer:
		named, ok := types.Unalias(t.Elem()).(*types.Named)
		return ok && (m.own(named.Obj().Pkg()) || inSync(named)) && m.stateful(named, seen)
	case *types.Array:
		return m.stateful(t.Elem(), seen)
	case *types.Struct:
		for field := range t.Fields() {
			if m.stateful(field.Type(), seen) {
				return true
			}
		}
	}
	return false
}

// own reports whether a package is one of the module's.
func (m *module) own(p *types.Package) bool {
	return slices.ContainsFunc(m.packages, func(u *unit) bool { return u.types == p })
}

// inSync reports whether a type is one of the packages sync and sync/atomic.
func inSync(t types.Type) bool {
	named, ok := types.Unalias(t).(*types.Named)
	if !ok || named.Obj().Pkg() == nil {
		return false
	}
	path := named.Obj().Pkg().Path()
	return path == "sync" || path == "sync/atomic"
}

func TestMutable(t *testing.T) {
	t.Parallel()
	m := moduleOf(t, map[string]string{"a.go": `package p
import ("errors"; "regexp"; "sync"; "sync/atomic"; "os")
var (
	errFixed = errors.New("x")
	fixed    = regexp.MustCompile("x")
	table    = [...]int{1, 2}
	names    = map[int]string{1: "a"}
	count    int
	shown    int
	total    atomic.Int64
	pool     = &sync.Pool{}
	signal   = make(chan struct{})
	cache    = map[int]string{}
	gone     = map[int]string{}
	config   struct{ n [2]int }
	bag      set
	constant set
)
type set struct{ n int }
func (s *set) add() { s.n++ }
func (s set) get() int { return s.n }
func f() *int {
	count++
	cache[table[0]] = names[1]
	delete(gone, 1)
	config.n[1] = constant.get()
	bag.add()
	os.Args = nil
	count := 1
	count++
	return &shown
}
`})
	want := []string{"p.bag", "p.cache", "p.config", "p.count", "p.gone", "p.pool", "p.shown", "p.signal", "p.total"}
	if got := m.mutable(); !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
}
