package worker_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The packages worker, workertest, publisher and store depend on little more than the standard
// library, and on nothing that only the gateway, the command or tests need.
func TestImportsAreFew(t *testing.T) {
	t.Parallel()
	list := func(args ...string) []string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...).Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Fields(string(out))
	}
	module := list("-m")[0]
	// For the sockets of links, and for the store.
	others := []string{"golang.org/x/sys/unix", "github.com/allegro/bigcache/v3", "github.com/allegro/bigcache/v3/queue"}
	const form = "{{if not .Standard}}{{.ImportPath}}{{end}}"
	for _, path := range list("-deps", "-f", form, ".", "./workertest", "./publisher", "./store") {
		inside, ours := strings.CutPrefix(path, module+"/")
		top, _, _ := strings.Cut(inside, "/")
		if !slices.Contains(others, path) && (!ours || top != "worker" && top != "internal") {
			t.Errorf("%s is imported", path)
		}
	}
}
