package structure_test

import (
	"go/ast"
	"path"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// doubles are the words for a test double.
var doubles = []string{"sim", "fake", "mock", "stub", "dummy"}

// testDoubles are files with a test double though they are no tests, each with the reason.
var testDoubles = map[string]string{}

// A test double is in a test or in a test kit, not in the program.
func TestNoTestDoubles(t *testing.T) {
	m := loaded(t)
	inProgram := m.program()
	var found []string
	for _, u := range m.packages {
		if inProgram[u.path] || slices.Contains(importable, u.path) && !strings.HasSuffix(u.path, "test") {
			found = append(found, m.doubles(u)...)
		}
	}
	for _, name := range found {
		if testDoubles[name] == "" {
			t.Errorf("%s names a test double in code that is no test", name)
		}
	}
	for name := range testDoubles {
		if !slices.Contains(found, name) {
			t.Errorf("%s is gone: it needs no exception any more", name)
		}
	}
}

// doubles are the files of a package that declare something with such a word in its name, or that
// are named so.
func (m *module) doubles(u *unit) (files []string) {
	for _, f := range u.files {
		name := path.Base(m.set.Position(f.Pos()).Filename)
		found := hasDouble(strings.TrimSuffix(name, ".go"))
		ast.Inspect(f, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				found = found || hasDouble(id.Name)
			}
			return !found
		})
		if found {
			files = append(files, path.Join(u.path, name))
		}
	}
	return files
}

// hasDouble reports whether one of a name's words is one of doubles.
func hasDouble(name string) bool {
	var word []rune
	for i, r := range name + "_" {
		if !unicode.IsLower(r) && i > 0 {
			if slices.Contains(doubles, strings.ToLower(string(word))) {
				return true
			}
			word = word[:0]
		}
		word = append(word, r)
	}
	return false
}

func TestHasDouble(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"Sim": true, "sim": true, "NewSim": true, "simSocket": true, "SimPeer": true, "newFake": true, "MockConn": true,
		"aStub":  true,
		"simple": false, "similar": false, "Simple": false, "stubborn": false, "conn": false, "": false,
	} {
		if got := hasDouble(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}
