package proctest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// BuildWithJumpingClock builds a program, a package of which it is the path, with a wall clock that
// jumps every 1.5 s: to an hour ahead, to an hour behind, and back. The monotonic clock is not
// changed. The program is built with a modified time package, because the system's clock cannot be
// set for one process. Everything that it imports is built again for that.
func BuildWithJumpingClock(tb testing.TB, program string) string {
	tb.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		tb.Fatal(err)
	}
	original := filepath.Join(strings.TrimSpace(string(out)), "src", "time", "time.go")
	source, err := os.ReadFile(original)
	if err != nil {
		tb.Fatal(err)
	}
	const reading = "\tmono -= startNano\n" // in Now, where sec belongs to the wall clock
	if strings.Count(string(source), reading) != 1 {
		tb.Fatal("time.Now has changed: find the line where it reads the clocks")
	}
	const jump = "\tsec += [...]int64{0, 3600, -3600}[mono/1_500_000_000%3]\n"
	jumping := strings.Replace(string(source), reading, reading+jump, 1)
	copied := filepath.Join(tb.TempDir(), "time.go")
	overlay := filepath.Join(tb.TempDir(), "overlay.json")
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{original: copied}})
	if err != nil {
		tb.Fatal(err)
	}
	for path, content := range map[string][]byte{copied: []byte(jumping), overlay: replace} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return buildHere(tb, program, "-overlay", overlay)
}
