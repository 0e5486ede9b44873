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

// Main runs a package's tests and ends the process, to be called by TestMain. Tests that passed must leave nothing, once what they shared has been ended.
func Main(m *testing.M, end ...func()) { os.Exit(run(m, patience, end...)) }

// run returns the exit code. What the tests have ended has so long to go.
func run(m *testing.M, patience time.Duration, end ...func()) int {
	if ln, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		_ = ln.Close() // the runtime's own poller opens its descriptors with the first socket
	}
	before := len(Descriptors())
	code := m.Run()
	for _, f := range end {
		f()
	}
	if code == 0 {
		if err := left(before, patience); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, "the tests leave something behind:", err)
			code = 1
		}
	}
	return code
}

// patience is how long goroutines, descriptors and processes may take to end after the tests.
const patience = 5 * time.Second

// left says what is left, once it has had time to go.
func left(before int, patience time.Duration) (err error) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		open, running := Descriptors(), children()
		switch {
		case len(running) > 0:
			err = fmt.Errorf("processes %v", running)
		case len(open) > before:
			err = fmt.Errorf("%d descriptors, of\n%s", len(open)-before, strings.Join(open, "\n"))
		default:
			return goleak.Find( // which waits, too
				// The pool of gnet's Enroll: one per process, for its whole life.
				goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*goWorker).run.func1"),
				goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).purgeStaleWorkers"),
				goleak.IgnoreAnyFunction("github.com/panjf2000/ants/v2.(*poolCommon).ticktock"))
		}
	}
	return err
}

// Descriptors are what the process holds open; none where the system does not tell. Pipes of which it holds both ends are left out: package net keeps some for splice(2), until
// the garbage collector empties its pool.
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

// accessMode is 0 for a descriptor that is read, 1 for one that is written and 2 for both.
func accessMode(number string) int {
	b, _ := os.ReadFile("/proc/self/fdinfo/" + number)
	_, flags, _ := strings.Cut(string(b), "flags:")
	flags, _, _ = strings.Cut(strings.TrimSpace(flags), "\n")
	n, _ := strconv.ParseInt(flags, 8, 64)
	return int(n & 3)
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
