package structure_test

import (
	"go/types"
	"testing"
)

// A type with more methods than this, promoted ones included, does more than one thing. A type
// whose methods are in more files than this is hard to read.
const (
	maxMethods = 30
	maxFiles   = 4
)

var manyMethods = map[string]ceiling{
	"engine.Conn":            {68, "output, backlog, half-closing and timers of a conn are methods of the conn"},
	"engine.Loop":            {37, "turns, timers, budget and mailbox of a loop are methods of the loop"},
	"engine.half":            {33, "it is a net.Conn and embeds gnet's"},
	"engine.TLSConn":         {65, "it embeds the one of crypto/tls"},
	"engine.secure":          {51, "it embeds gnet.Conn, of which it replaces a part"},
	"engine.manualSocket":    {33, "it embeds gnet.Conn, which Manual needs a part of"},
	"gateway.loop":           {66, "commands, queries and limits of a loop are methods of the loop"},
	"gateway.session":        {73, "attributes, limits and closing of a client are methods of its session"},
	"internal/delivery.Book": {62, "events of the machine, and what follows from them, are methods of the machine"},
	"worker.Worker":          {43, "commands for clients, groups and users are methods of the worker"},
	"worker.Call":            {31, "what a handler may do for its client are methods of its call"},
	"worker.gwLink":          {36, "reading, dispatching and writing of a link are methods of the link"},
	"worker.session":         {32, "calls, attributes and output of a client are methods of its session"},
}

var manyFiles = map[string]ceiling{
	"bench.Options":          {6, "each group of options is checked beside what it is for"},
	"bench.client":           {5, "connecting, sending, reading and slow reading"},
	"bench.generator":        {6, "a file for each kind of load"},
	"codec.WebSocket":        {6, "reading, writing, closing, compression and UTF-8"},
	"engine.Conn":            {10, "a file for each thing that a conn does"},
	"engine.Loop":            {11, "a file for each thing that a loop does"},
	"gateway.Gateway":        {9, "a file for each thing that a gateway does"},
	"gateway.loop":           {18, "a file for each thing that a loop does"},
	"gateway.session":        {18, "a file for each thing that a session does"},
	"internal/delivery.Book": {6, "a file for each thing that the machine does"},
	"worker.Worker":          {8, "a file for each kind of command"},
	"worker.session":         {7, "a file for each thing that a session does"},
}

func TestMethodsOfTypes(t *testing.T) {
	methods, files := loaded(t).methods()
	if len(methods) < 200 {
		t.Errorf("%d types found: that cannot be all", len(methods))
	}
	wantNone(t, exceeding("methods", maxMethods, 2, methods, manyMethods))
	wantNone(t, exceeding("files with methods", maxFiles, 1, files, manyFiles))
}

// methods counts, for each type that is no interface, the methods of a pointer to it, and the files
// of its own methods.
func (m *module) methods() (methods, files map[string]int) {
	methods, files = make(map[string]int), make(map[string]int)
	for _, u := range m.packages {
		for _, named := range u.named() {
			if types.IsInterface(named) {
				continue
			}
			in := make(map[string]bool)
			for method := range named.Methods() {
				in[m.set.Position(method.Pos()).Filename] = true
			}
			name := u.name(named.Obj())
			methods[name] = types.NewMethodSet(types.NewPointer(named)).Len()
			files[name] = len(in)
		}
	}
	return methods, files
}

// named returns the types that a package declares, in the order of their names.
func (u *unit) named() (all []*types.Named) {
	for _, name := range u.types.Scope().Names() {
		if t, ok := u.types.Scope().Lookup(name).(*types.TypeName); ok && !t.IsAlias() {
			if named, ok := t.Type().(*types.Named); ok {
				all = append(all, named)
			}
		}
	}
	return all
}

// name returns the name of an object that a package declares: engine.Conn.
func (u *unit) name(o types.Object) string { return u.path + "." + o.Name() }

func TestMethods(t *testing.T) {
	t.Parallel()
	m := moduleOf(t, map[string]string{
		"a.go": "package p\ntype inner struct{}\nfunc (inner) A() {}\nfunc (*inner) b() {}\ntype i interface{ A() }\n",
		"b.go": "package p\ntype outer struct{ *inner; n int }\nfunc (*outer) C() {}\ntype lone int\n",
		"c.go": "package p\nfunc (outer) D() {}\n",
	})
	methods, files := m.methods()
	want := map[string][2]int{"p.inner": {2, 1}, "p.outer": {4, 2}, "p.lone": {0, 0}}
	for name, n := range want {
		if got := [2]int{methods[name], files[name]}; got != n {
			t.Errorf("%s: %v methods and files, want %v", name, got, n)
		}
	}
	if len(methods) != len(want) {
		t.Errorf("types %v, want %d", methods, len(want))
	}
}
