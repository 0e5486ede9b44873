package worker_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The packages worker, workertest, publisher and store depend on little more than the standard
// library, and on nothing that only the gateway, the command, tests or drivers of stores need. A
// driver adds the client of its server.
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
	for _, packages := range []struct {
		paths []string
		of    []string // modules that these may import besides
	}{
		{[]string{".", "./discover", "./stat", "./workertest", "./publisher", "./store"}, nil},
		{[]string{"./store/memcachedstore"}, []string{"github.com/bradfitz/gomemcache/"}},
		{[]string{"./store/redisstore"}, []string{"github.com/redis/rueidis", "golang.org/x/sys/"}},
	} {
		for _, path := range list(append([]string{"-deps", "-f", form}, packages.paths...)...) {
			inside, ours := strings.CutPrefix(path, module+"/")
			top, _, _ := strings.Cut(inside, "/")
			driver := packages.of == nil && ours && strings.HasPrefix(inside, "worker/store/")
			known := slices.ContainsFunc(packages.of, func(m string) bool { return strings.HasPrefix(path, m) })
			if driver || !known && !slices.Contains(others, path) && (!ours || top != "worker" && top != "internal") {
				t.Errorf("%s is imported by one of %v", path, packages.paths)
			}
		}
	}
}
