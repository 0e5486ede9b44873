// Package leaktest fails the tests of a package that leaves goroutines, descriptors or child
// processes behind.
package leaktest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Main runs the tests of a package and exits. TestMain calls it. It fails the package if tests that
// passed leave anything behind. It calls the functions in end first: they release what tests share.
func Main(m *testing.M, end ...func()) { os.Exit(run(m, releaseTimeout, end...)) }

// run returns the exit code. timeout bounds the wait for what the tests have released.
func run(m *testing.M, timeout time.Duration, end ...func()) int {
	if ln, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		_ = ln.Close() // the runtime's poller opens its descriptors with the first socket
	}
	before := len(Descriptors())
	code := m.Run()
	for _, f := range end {
		f()
	}
	if code == 0 {
		if err := checkLeaks(before, timeout); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, "the tests left behind:", err)
			code = 1
		}
	}
	return code
}

// releaseTimeout is how long resources may take to be released after the tests.
const releaseTimeout = 5 * time.Second

// checkLeaks returns an error that describes what is left after timeout.
func checkLeaks(before int, timeout time.Duration) (err error) {
	for end := time.Now().Add(timeout); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
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
// report them. It leaves out pipes with both ends in this process: package net keeps some for
// splice(2), until the garbage collector empties its pool.
func Descriptors() (open []string) {
	var all []descriptor
	ends := make(map[string]int) // by what it is, bits: 1 is read, 2 is written
	list, _ := os.ReadDir("/proc/self/fd")
	for _, e := range list {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && !strings.HasPrefix(to, "/proc/") {
			all = append(all, descriptor{e.Name(), to})
			ends[to] |= 1 + accessMode(e.Name())
		}
	}
	for _, d := range all {
		if !strings.HasPrefix(d.to, "pipe:") || ends[d.to] != 3 {
			open = append(open, d.number+" "+d.to)
		}
	}
	return open
}

type descriptor struct{ number, to string }

// accessMode returns 0 for a descriptor that is read, 1 for one that is written, and 2 for both.
func accessMode(number string) int {
	b, _ := os.ReadFile("/proc/self/fdinfo/" + number)
	_, flags, _ := strings.Cut(string(b), "flags:")
	flags, _, _ = strings.Cut(strings.TrimSpace(flags), "\n")
	n, _ := strconv.ParseInt(flags, 8, 64)
	return int(n & 3)
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
