package link

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The names in the code are those of SPEC.md.
func TestNamesAreTheSpecs(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("SPEC.md")
	if err != nil {
		t.Fatal(err)
	}
	spec := string(b)

	rows := regexp.MustCompile(`(?m)^\| (\d+) \| ([A-Z]+) \|`).FindAllStringSubmatch(spec, -1)
	inSpec := map[Type]string{}
	for _, row := range rows {
		n, _ := strconv.Atoi(row[1])
		inSpec[Type(n)] = row[2]
	}
	for i := range 256 {
		typ := Type(i)
		want, ok := inSpec[typ]
		if !ok {
			want = "type " + strconv.Itoa(i)
		}
		if got := typ.String(); got != want {
			t.Errorf("type %d is %q, want %q", i, got, want)
		}
	}

	for number, name := range listed(t, spec, "### Status") {
		if got := Status(number).String(); got != name {
			t.Errorf("status %d is %q, want %q", number, got, name)
		}
	}
	for number, name := range listed(t, spec, "### Close reasons") {
		if got := Reason(number).String(); got != name {
			t.Errorf("reason %d is %q, want %q", number, got, name)
		}
	}
	for number, name := range listed(t, spec, "### Causes") {
		if got := Cause(number).String(); got != name {
			t.Errorf("cause %d is %q, want %q", number, got, name)
		}
	}
	if Status(99).String() != "status 99" || Reason(99).String() != "reason 99" || Reason(0).String() != "none" {
		t.Error("numbers without a name")
	}
	if ReasonExpired != 15 || Failed != 10 {
		t.Error("the last reason or status has moved")
	}
}

// listed reads "0 ok · 1 gone (...) · ...", the paragraph under a heading.
func listed(t *testing.T, spec, heading string) map[int]string {
	_, after, _ := strings.Cut(spec, heading)
	paragraph, _, _ := strings.Cut(strings.TrimPrefix(after[strings.Index(after, "\n"):], "\n"), "\n\n")
	line := regexp.MustCompile(` \([^)]*\)`).ReplaceAllString(strings.ReplaceAll(paragraph, "\n", " "), "")
	names := map[int]string{}
	for part := range strings.SplitSeq(line, " · ") {
		number, name, _ := strings.Cut(part, " ")
		n, err := strconv.Atoi(number)
		if err != nil {
			t.Fatalf("%s: %q", heading, part)
		}
		names[n] = name
	}
	if len(names) < 5 {
		t.Fatalf("%s: %v", heading, names)
	}
	return names
}
