// Package checks_test checks the manifests, the alert rules and the dashboard of deploy/ with the
// code of Kubernetes, kustomize and Prometheus. It is a module of its own, so that these are no
// dependency of the program.
package checks_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/seed-7410fe32/sluice/internal/leaktest"
)

// TestMain runs the tests at the root. So the program that they start is built by the main module,
// with its dependencies and not those of this one.
func TestMain(m *testing.M) {
	if err := os.Chdir("../.."); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	leaktest.Main(m)
}

// read returns the text of a file in deploy/.
func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("deploy/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// is reports whether an optional value is there and is the one that is wanted.
func is[T comparable](v *T, want T) bool { return v != nil && *v == want }

// typeName returns the name of a value's type.
func typeName(v any) string { return fmt.Sprintf("%T", v) }
