// Package leaktest fails the tests of a package that leaves goroutines, descriptors or child processes behind.
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

// Main runs a package's tests and ends the process, to be called by TestMain. Whoever passed must leave nothing.
func Main(m *testing.M) {
	if ln, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		_ = ln.Close() // the runtime's own poller opens its descriptors with the first socket
	}
	before := len(Descriptors())
	code := m.Run()
	if code == 0 {
		if err := left(before); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, "the tests leave something behind:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// patience is how long what the tests have ended may take to go.
const patience = 5 * time.Second

// left says what is left, once it has had time to go.
func left(before int) (err error) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		open, running := Descriptors(), children()
		switch {
		case len(running) > 0:
			err = fmt.Errorf("processes %v", running)
		case len(open) > before:
			err = fmt.Errorf("%d descriptors, of\n%s", len(open)-before, strings.Join(open, "\n"))
		default:
			return goleak.Find( // which has a patience of its own
				// The pool of gnet's Enroll: one per process, for its whole life.
				goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*goWorker).run.func1"),
				goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
				goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"))
		}
	}
	return err
}

// Descriptors are what the process holds open; none where the system does not tell.
func Descriptors() (open []string) {
	list, _ := os.ReadDir("/proc/self/fd")
	for _, e := range list {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && !strings.HasPrefix(to, "/proc/") {
			open = append(open, e.Name()+" "+to)
		}
	}
	return open
}

// children are the processes that this one has started and not waited for; none where the system does not tell.
func children() (pids []string) {
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, list := range lists {
		b, _ := os.ReadFile(list)
		pids = append(pids, strings.Fields(string(b))...)
	}
	return pids
}
