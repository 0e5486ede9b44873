package structure_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// logCalls are the functions that write a log line, or make a part of it, and the index of the
// argument with the first name of a field.
var logCalls = map[string]int{"Debug": 1, "Info": 1, "Warn": 1, "Error": 1, "With": 0,
	"String": 0, "Int": 0, "Duration": 0, "Float64": 0}

// logged are the folders of the code that runs in a server.
var logged = []string{"chat", "engine", "gateway", "gateway/admin", "worker", "internal/certs",
	"internal/cli", "internal/logs", "internal/supervisor", "internal/stats/keep", "internal/stats/forward",
	"internal/stats/intake"}

// The table in docs/operating.md has each field of the log, and no others.
func TestLogFieldsAreDocumented(t *testing.T) {
	t.Chdir("../..")
	used := make(map[string]string)
	for _, dir := range logged {
		files, err := filepath.Glob(dir + "/*.go")
		if err != nil || len(files) == 0 {
			t.Fatal(dir, err)
		}
		for _, name := range files {
			if !strings.HasSuffix(name, "_test.go") {
				fieldsOf(t, name, used)
			}
		}
	}
	text, err := os.ReadFile("docs/operating.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "| field | value |")
	table, _, _ = strings.Cut(table, "\n\n")
	documented := make(map[string]bool)
	for line := range strings.Lines(table) {
		names, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(names, -1) {
			documented[m[1]] = true
		}
	}
	for field, at := range used {
		if !documented[field] {
			t.Errorf("%s logs %q, which is not in the table of docs/operating.md", at, field)
		}
	}
	for field := range documented {
		if used[field] == "" && !strings.Contains("time level msg", field) {
			t.Errorf("docs/operating.md: no line of the log has %q", field)
		}
	}
	for field, at := range used {
		if regexp.MustCompile("authorization|cookie|password|secret|token").MatchString(field) && field != "tokens" {
			t.Errorf("%s logs %q, whose value the log replaces by ***", at, field)
		}
	}
	if len(used) < 40 {
		t.Errorf("%d fields found: that cannot be all", len(used))
	}
}

// fieldsOf enters the fields that the calls of a file log.
func fieldsOf(t *testing.T, name string, used map[string]string) {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		for _, lit := range names(n) {
			field, _ := strconv.Unquote(lit.Value)
			used[field] = fset.Position(lit.Pos()).String()
		}
		return true
	})
}

// names returns the names of fields in a node: in a call of a log, in a list of type []any, and in
// what is appended to such a list for an audit line.
func names(n ast.Node) (found []*ast.BasicLit) {
	var args []ast.Expr
	switch n := n.(type) {
	case *ast.CompositeLit:
		if list, ok := n.Type.(*ast.ArrayType); ok {
			if of, ok := list.Elt.(*ast.Ident); ok && of.Name == "any" {
				args = n.Elts
			}
		}
	case *ast.CallExpr:
		f, ok := n.Fun.(*ast.SelectorExpr)
		if !ok {
			return nil
		}
		if first, ok := logCalls[f.Sel.Name]; ok && logs(f) {
			args = n.Args[min(first, len(n.Args)):]
		}
		if f.Sel.Name == "audit" {
			args = n.Args[3:]
			if len(args) == 1 {
				if add, ok := args[0].(*ast.CallExpr); ok {
					args = add.Args[1:]
				}
			}
		}
	}
	for i := 0; i < len(args); i += 2 {
		if lit, ok := args[i].(*ast.BasicLit); ok && lit.Kind == token.STRING {
			found = append(found, lit)
		}
	}
	return found
}

// logs reports whether a selector is a method of a log, or a function of log/slog.
func logs(f *ast.SelectorExpr) bool {
	switch on := f.X.(type) {
	case *ast.Ident:
		return on.Name == "slog" || strings.HasSuffix(strings.ToLower(on.Name), "log")
	case *ast.SelectorExpr:
		return strings.HasSuffix(strings.ToLower(on.Sel.Name), "log") || on.Sel.Name == "Logger" || on.Sel.Name == "to"
	case *ast.CallExpr: // slog.New(...).Warn
		inner, ok := on.Fun.(*ast.SelectorExpr)
		return ok && logs(inner)
	}
	return false
}
