package structure_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// module is the main module: its packages in the order of their imports, without their tests, and
// their types.
type module struct {
	path     string
	set      *token.FileSet
	packages []*unit
	others   map[string]*types.Package // imported packages of other modules and of the standard library, by path
	compiled map[string]string         // files with the compiler's export data, by the path of the package
}

func newModule() *module {
	return &module{
		set:      token.NewFileSet(),
		others:   make(map[string]*types.Package),
		compiled: make(map[string]string),
	}
}

// unit is a package of the module.
type unit struct {
	path  string // below the module's path; empty for the root
	files []*ast.File
	types *types.Package
	info  *types.Info
}

// load checks the module's types once for all tests. The packages of other modules are read from
// the compiler's export data, which the go command has in its cache.
var load = sync.OnceValues(func() (*module, error) {
	m := newModule()
	listed, err := list()
	if err != nil {
		return nil, err
	}
	for _, p := range listed {
		m.compiled[p.ImportPath] = p.Export
	}
	own := make(map[string]*types.Package)
	imports := m.importer(own)
	if _, err := imports.Import("encoding"); err != nil { // its interfaces are asked for by packages that we import
		return nil, err
	}
	for _, p := range listed {
		if p.Module == nil || !p.Module.Main {
			continue
		}
		m.path = p.Module.Path
		u, err := m.check(p, imports)
		if err != nil {
			return nil, err
		}
		own[p.ImportPath] = u.types
		m.packages = append(m.packages, u)
	}
	return m, nil
})

// listedPackage is a package as the go command describes it.
type listedPackage struct {
	ImportPath, Dir, Export string
	GoFiles                 []string
	Module                  *struct {
		Path string
		Main bool
	}
}

// list returns the module's packages and all packages that they import, imported ones first.
func list() (all []listedPackage, err error) {
	command := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles,Module", "./...")
	command.Dir = filepath.Join("..", "..")
	out, err := command.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return nil, fmt.Errorf("go list: %w", err)
	}
	for decoder := json.NewDecoder(bytes.NewReader(out)); decoder.More(); {
		var p listedPackage
		if err := decoder.Decode(&p); err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		all = append(all, p)
	}
	return all, nil
}

// check parses a package and checks its types.
func (m *module) check(p listedPackage, imports types.Importer) (*unit, error) {
	u := &unit{path: strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, p.Module.Path), "/")}
	for _, name := range p.GoFiles {
		if err := m.parse(u, filepath.Join(p.Dir, name), nil); err != nil {
			return nil, err
		}
	}
	return u, m.checkTypes(u, p.ImportPath, imports)
}

// parse adds a file to a package. Where text is nil it reads the file.
func (m *module) parse(u *unit, name string, text any) error {
	f, err := parser.ParseFile(m.set, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err == nil {
		u.files = append(u.files, f)
	}
	return err
}

func (m *module) checkTypes(u *unit, path string, imports types.Importer) (err error) {
	u.info = &types.Info{
		Types:      make(map[ast.Expr]types.TypeAndValue),
		Defs:       make(map[*ast.Ident]types.Object),
		Uses:       make(map[*ast.Ident]types.Object),
		Selections: make(map[*ast.SelectorExpr]*types.Selection),
	}
	checker := types.Config{Importer: imports, Sizes: types.SizesFor("gc", runtime.GOARCH)}
	u.types, err = checker.Check(path, m.set, u.files, u.info)
	return err
}

// moduleOf returns a module with one package, whose files may import what the module imports.
func moduleOf(t *testing.T, files map[string]string) *module {
	t.Helper()
	m := newModule()
	m.compiled = loaded(t).compiled
	u := &unit{path: "p"}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := m.parse(u, name, files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.checkTypes(u, "p", m.importer(nil)); err != nil {
		t.Fatal(err)
	}
	m.packages = []*unit{u}
	return m
}

// importer returns an importer of the module's own packages, and of others, which it records in
// m.others.
func (m *module) importer(own map[string]*types.Package) types.Importer {
	open := func(path string) (io.ReadCloser, error) { return os.Open(m.compiled[path]) }
	outside := importer.ForCompiler(m.set, "gc", open)
	return importerFunc(func(path string) (*types.Package, error) {
		if p := own[path]; p != nil {
			return p, nil
		}
		p, err := outside.Import(path)
		if err == nil {
			m.others[path] = p
		}
		return p, err
	})
}

type importerFunc func(string) (*types.Package, error)

func (f importerFunc) Import(path string) (*types.Package, error) { return f(path) }

// loaded returns the module. The figures are those of Linux, where most of it is built.
func loaded(t *testing.T) *module {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: the figures are those of linux")
	}
	m, err := load()
	if err != nil {
		t.Fatal(err)
	}
	if len(m.packages) < 20 {
		t.Fatalf("%d packages found: that cannot be all", len(m.packages))
	}
	return m
}

// relative returns a path relative to the module's root, with slashes.
func relative(path string) string {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		return path
	}
	below, err := filepath.Rel(root, path)
	if err != nil {
		return path
	}
	return filepath.ToSlash(below)
}

// goFiles returns the Go files of this repository, including those of its other modules, relative
// to the root.
func goFiles(t *testing.T) (files []string) {
	t.Helper()
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" ||
			d.Name() == "node_modules"):
			return filepath.SkipDir
		case !d.IsDir() && filepath.Ext(path) == ".go":
			below, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			files = append(files, filepath.ToSlash(below))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 300 {
		t.Fatalf("%d files found: that cannot be all", len(files))
	}
	return files
}
