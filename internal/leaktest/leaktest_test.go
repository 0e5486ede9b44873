package leaktest

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// leakEnv makes a child of this test leak something.
const leakEnv = "SLUICE_LEAK"

func TestMain(m *testing.M) { Main(m) }

// A package whose tests pass and leave a goroutine, a descriptor or a process behind fails and
// names it.
func TestWhatIsLeftIsFound(t *testing.T) {
	t.Parallel()
	for what, says := range map[string]string{"nothing": "", "goroutine": "goroutine", "descriptor": "descriptors",
		"process": "processes"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run", "^TestLeak$")
			cmd.Env = append(os.Environ(), leakEnv+"="+what)
			out, err := cmd.CombinedOutput()
			if (err == nil) != (what == "nothing") || !strings.Contains(string(out), says) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// This is what TestWhatIsLeftIsFound runs in the child.
func TestLeak(t *testing.T) {
	switch os.Getenv(leakEnv) {
	case "goroutine":
		go func() { select {} }()
	case "descriptor":
		f, err := os.Open(os.Args[0])
		if err != nil {
			t.Fatal(err)
		}
		kept = f
	case "process":
		cmd := exec.Command("cat") // ends with this process
		if _, err := cmd.StdinPipe(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	}
}

var kept *os.File // otherwise it would be closed when it is collected
