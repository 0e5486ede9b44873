// Package leaktest fails the tests of a package that leaves goroutines, descriptors or child
// processes behind.
package leaktest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Main runs the tests of a package and exits. TestMain calls it. It fails the package if tests that
// passed leave anything behind.
func Main(m *testing.M) {
	if ln, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		_ = ln.Close() // the runtime's poller opens its descriptors with the first socket
	}
	before := len(Descriptors())
	code := m.Run()
	if code == 0 {
		if err := checkLeaks(before); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, "the tests left behind:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// releaseTimeout is how long resources may take to be released after the tests.
const releaseTimeout = 5 * time.Second

// checkLeaks returns an error that describes what is left after patience.
func checkLeaks(before int) (err error) {
	for end := time.Now().Add(releaseTimeout); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		open, running := Descriptors(), children()
		switch {
		case len(running) > 0:
			err = fmt.Errorf("processes %v", running)
		case len(open) > before:
			err = fmt.Errorf("%d descriptors, of\n%s", len(open)-before, strings.Join(open, "\n"))
		default:
			return goleak.Find( // goleak has a time limit of its own
				// This is the pool of gnet's Enroll: one per process, for its whole life.
				goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*goWorker).run.func1"),
				goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
				goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"))
		}
	}
	return err
}

// Descriptors returns the open descriptors of the process. It is empty where the system does not
// report them.
func Descriptors() (open []string) {
	list, _ := os.ReadDir("/proc/self/fd")
	for _, e := range list {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && !strings.HasPrefix(to, "/proc/") {
			open = append(open, e.Name()+" "+to)
		}
	}
	return open
}

// children returns the child processes that were not waited for. It is empty where the system does
// not report them.
func children() (pids []string) {
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, list := range lists {
		b, _ := os.ReadFile(list)
		pids = append(pids, strings.Fields(string(b))...)
	}
	return pids
}
