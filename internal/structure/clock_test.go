package structure_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Deadlines, heartbeats, leases and rates use the monotonic clock, so that a jump of the wall clock
// changes none of them. A time.Time has a monotonic reading until one of the methods below removes
// it. Each use of these methods is listed here with its purpose.
func TestNothingIsTimedByTheWallClock(t *testing.T) {
	t.Chdir("../..")
	allowed := map[string][]string{
		"chat/protocol.go": {"UnixMilli"}, // when something was said, for people

		"chat/store/store.go": {"UnixMilli"}, // what is kept outlives a process

		"gateway/admin/stats.go": {"Parse", "Unix"}, // the time that a question is about

		"gateway/command.go": {"UnixNano"}, // of two bindings the later one wins

		"gateway/peerkeeper.go": {"Unix"}, // a deadline in the past, to end a hello

		"gateway/refresh.go": {"Unix"}, // when a token expires, for its client

		"internal/directory/memory.go": {"UnixMicro"}, // epochs grow from one run to the next

		"internal/cli/stat.go":                    {"Local"},                  // a time that is printed
		"internal/directory/redisdir/redisdir.go": {"UnixMicro"},              // numbers grow from one client to the next
		"internal/link/question.go":               {"UnixMilli", "UnixMilli"}, // when an identity expires

		"internal/proctest/proctest.go": {"Parse"}, // times in a log

		"internal/stats/alert/webhook.go": {"UTC"},       // a part of a name
		"internal/stats/keep/commit.go":   {"UnixMilli"}, // what is kept outlives a process

		"internal/stats/keep/failures.go": {"UnixMilli", "UnixMilli", "UTC", "UnixMilli"},

		"internal/stats/keep/keys.go": {"Unix", "UTC", "Unix"},

		"internal/stats/report.go": {"UnixMilli", "UnixMilli"}, // when calls were, for people

		"worker/stat/datagram.go": {"Unix", "Unix"}, // when a call was, for people
		"worker/gateway.go":       {"Unix"},         // a deadline in the past, to end a hello
	}
	takesAway := []string{"Unix", "UnixMilli", "UnixMicro", "UnixNano", "UTC", "Local", "AddDate", "Date", "Parse",
		"ParseInLocation"}
	found := make(map[string][]string)
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (path == "bench" || strings.HasPrefix(path, ".") && path != "."):
			// A bench tells people when it ran.
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") ||
			strings.HasPrefix(filepath.ToSlash(path), "internal/cli/bench"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		packages := make(map[string]bool)
		for _, i := range file.Imports {
			packages[filepath.Base(strings.Trim(i.Path.Value, `"`))] = true
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && slices.Contains(takesAway, s.Sel.Name) {
				if x, ok := s.X.(*ast.Ident); !ok || x.Name == "time" || !packages[x.Name] { // url.Parse is another matter
					found[filepath.ToSlash(path)] = append(found[filepath.ToSlash(path)], s.Sel.Name)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, names := range found {
		if !slices.Equal(names, allowed[path]) {
			t.Errorf("%s uses %v, not %v: is something timed by the wall clock?", path, names, allowed[path])
		}
	}
	for path := range allowed {
		if found[path] == nil {
			t.Errorf("%s uses nothing of the kind any more", path)
		}
	}
}
