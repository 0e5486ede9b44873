// Package suite says how much of the long test suites runs: a short representative, or with SLUICE_TEST=full everything. The gate (.ci/run) runs everything.
//
// A test that leaves something out logs a line that begins with "SHORTENED". A test that is skipped
// because something that it needs is missing logs a line that begins with "NOT TESTED". "go test"
// shows neither without -v; CONTRIBUTING.md has the command that prints these lines.
package suite

import (
	"flag"
	"os"
	"runtime"
	"strconv"
	"testing"
)

// Full reports whether the long suites run in full.
func Full() bool { return os.Getenv("SLUICE_TEST") == "full" }

// Of returns how many of a suite's whole number to run: the whole, or a few, which the test logs. what names them in the plural.
func Of(tb testing.TB, few, whole int, what string) int {
	tb.Helper()
	if Full() {
		return whole
	}
	tb.Logf("SHORTENED: %d of %d %s; SLUICE_TEST=full has all", few, whole, what)
	return few
}

// Beside has so many parallel tests of a package run beside each other for each processor, where go test would have one. It is for packages whose tests wait for most of their
// time, and to be called by TestMain. A number that was given with -parallel stays.
func Beside(perProcessor int) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", strconv.Itoa(perProcessor*runtime.GOMAXPROCS(0))) // a number is never refused
	}
}
