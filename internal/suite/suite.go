// Package suite says how much of the long test suites runs: a short part, or everything with
// SLUICE_TEST=full. The gate (.ci/run) runs everything.
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

// Full reports whether the long suites run completely.
func Full() bool { return os.Getenv("SLUICE_TEST") == "full" }

// Of returns how many items of a suite to run: all, or a few, which the test logs. what names the
// items in the plural.
func Of(tb testing.TB, few, whole int, what string) int {
	tb.Helper()
	if Full() {
		return whole
	}
	tb.Logf("SHORTENED: %d of %d %s; SLUICE_TEST=full runs all", few, whole, what)
	return few
}

// OfModel is Of for a model, whose steps run one after the other. The race detector finds nothing
// in one and makes it five times as slow, so with it only the few run. The gate runs all without
// it.
func OfModel(tb testing.TB, few, whole int, what string) int {
	tb.Helper()
	if raceDetector && Full() {
		tb.Logf("SHORTENED: %d of %d %s; without -race all run", few, whole, what)
		return few
	}
	return Of(tb, few, whole, what)
}

// Beside sets how many parallel tests of a package run at once for each processor, instead of one.
// It is for packages whose tests mostly wait. TestMain calls it. A value given with -parallel is
// kept.
func Beside(perProcessor int) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		_ = flag.Set("test.parallel", strconv.Itoa(perProcessor*runtime.GOMAXPROCS(0))) // a number is always valid
	}
}
