package structure_test

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Not every terminal and log store takes more than ASCII.
func TestErrorsAndLogsAreASCII(t *testing.T) {
	found, all := loaded(t).foreign()
	for _, at := range found {
		t.Errorf("%s: an error or a log line with other characters than those of ASCII", at)
	}
	if all < 500 {
		t.Errorf("%d strings of errors and log lines found: that cannot be all", all)
	}
}

// foreign returns the positions of strings of errors and log lines that are not ASCII, and the
// number of all such strings. They are the strings in calls that return an error, in those of
// package slog, and in those of panic.
func (m *module) foreign() (found []string, all int) {
	for _, u := range m.packages {
		for _, f := range u.files {
			ast.Inspect(f, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || !tells(u.info, call) {
					return true
				}
				for _, argument := range call.Args {
					ast.Inspect(argument, func(n ast.Node) bool {
						if text, ok := n.(*ast.BasicLit); ok && text.Kind == token.STRING {
							all++
							if value, err := strconv.Unquote(text.Value); err == nil && !ascii(value) {
								found = append(found, relative(m.set.Position(text.Pos()).String()))
							}
						}
						_, inner := n.(*ast.FuncLit) // another function's strings
						return !inner
					})
				}
				return true
			})
		}
	}
	slices.Sort(found)
	return slices.Compact(found), all
}

// tells reports whether a call makes an error or writes a log line.
func tells(info *types.Info, call *ast.CallExpr) bool {
	if t := info.TypeOf(call); t != nil &&
		types.Implements(t, types.Universe.Lookup("error").Type().Underlying().(*types.Interface)) {
		return true
	}
	switch f := call.Fun.(type) {
	case *ast.Ident:
		_, builtin := info.Uses[f].(*types.Builtin)
		return builtin && f.Name == "panic"
	case *ast.SelectorExpr:
		method, ok := info.Uses[f.Sel].(*types.Func)
		return ok && method.Pkg() != nil && method.Pkg().Path() == "log/slog"
	}
	return false
}

func ascii(text string) bool {
	for i := range len(text) {
		if text[i] >= 0x80 {
			return false
		}
	}
	return true
}

func TestForeign(t *testing.T) {
	t.Parallel()
	m := moduleOf(t, map[string]string{"a.go": `package p
import ("errors"; "fmt"; "log/slog")
var err = errors.New("ä")
func f(l *slog.Logger, n int) error {
	l.Info("a", "b", fmt.Sprint("ö"))
	slog.Warn("\u2026")
	fmt.Println("ü")
	if n > 0 { panic("a–b") }
	if n > 1 { return invalid("plain", n) }
	return invalid("…", n)
}
func invalid(s string, n int) error { return fmt.Errorf("%s: %d", s, n) }
`})
	found, all := m.foreign()
	var lines []string
	for _, at := range found {
		line := strings.Split(at, ":")[1]
		lines = append(lines, line)
	}
	if want := []string{"10", "3", "5", "6", "8"}; !slices.Equal(lines, want) || all != 9 {
		t.Errorf("lines %q of %d strings, want %q", lines, all, want)
	}
}
