// Package deploy_test checks units, the image and releases. deploy/checks checks the rest of
// deploy/.
package deploy_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/seed-7410fe32/sluice/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// need returns the path of a program, and skips the test where it is not installed, but not in CI.
func need(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("no %s: CI must have it", name)
	}
	t.Skipf("NOT TESTED: there is no %s here", name)
	return ""
}

// read returns the text of a file in deploy/.
func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../deploy/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
