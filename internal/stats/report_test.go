package stats

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "rewrite testdata")

var when = time.UnixMilli(1_760_000_000_123)

// examples returns reports that can be written and read without a change.
func examples() map[string]Report {
	message := Row{Module: "chat", Interface: "message"}
	for i := range 100 {
		message.Add(time.Duration(i)*time.Millisecond, uint32(i%10/9*500))
	}
	codes := Row{Module: "чат", Interface: Other}
	for i := range uint32(MaxCodes + 5) {
		codes.Add(time.Microsecond, i+1)
	}
	source := [16]byte{1, 2, 3, 15: 16}
	return map[string]Report{
		"empty": {Source: source, Seq: 1, Node: "worker@host", From: when, To: when},
		"rows": {Source: source, Seq: math.MaxUint64, Node: "w", From: when, To: when.Add(time.Second),
			Rows: []Row{message, codes}},
		"failures": {Source: source, Seq: 2, Node: "w", From: when, To: when.Add(time.Second), LostFailures: 7,
			Failures: []Failure{
				{when, "chat", "message", 500, "192.0.2.1:4711", `panic: a\nb`},
				{when.Add(time.Millisecond), "chat", "connect", math.MaxUint32, "", ""},
			}},
	}
}

// The encoding is that of doc.go: a change of it needs a new version.
func TestGolden(t *testing.T) {
	t.Parallel()
	var lines []string
	for _, name := range []string{"empty", "rows", "failures"} {
		r := examples()[name]
		b, err := AppendReport([]byte("before"), &r)
		if err != nil || !bytes.HasPrefix(b, []byte("before")) {
			t.Fatal(name, err)
		}
		b = b[len("before"):]
		lines = append(lines, fmt.Sprintf("%s %s\n", name, hex.EncodeToString(b)))
		got, err := ReadReport(b)
		if err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("%s: %v\nread  %+v\nwrote %+v", name, err, got, r)
		}
		for n := range b {
			if _, err := ReadReport(b[:n]); err == nil {
				t.Fatalf("%s: %d bytes of %d are a report", name, n, len(b))
			}
		}
		if _, err := ReadReport(append(b, 0)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: a byte more: %v", name, err)
		}
	}
	if *update {
		if err := os.WriteFile("testdata/reports.txt", []byte(strings.Join(lines, "")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/reports.txt")
	if err != nil || string(want) != strings.Join(lines, "") {
		t.Errorf("%v: the encoding is another one:\n%s", err, lines)
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	r := examples()["empty"]
	good, _ := AppendReport(nil, &r)
	later := bytes.Clone(good)
	later[0] = 2
	if _, err := ReadReport(later); !errors.Is(err, ErrVersion) {
		t.Error(err)
	}
	if _, err := ReadReport(make([]byte, MaxReport+1)); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	for name, change := range map[string]func(*Report){
		"number 0":                     func(r *Report) { r.Seq = 0 },
		"code 0":                       func(r *Report) { r.Rows = []Row{{Codes: map[uint32]uint64{0: 1}}} },
		"failures without calls":       func(r *Report) { r.Rows = []Row{{Codes: map[uint32]uint64{1: 1}}} },
		"a code that no call has":      func(r *Report) { r.Rows = []Row{{Codes: map[uint32]uint64{1: 0}}} },
		"more codes than a row counts": func(r *Report) { r.Rows = []Row{manyCodes()} },
	} {
		bad := r
		change(&bad)
		b, err := AppendReport(nil, &bad)
		if err != nil {
			t.Fatal(name, err)
		}
		if _, err := ReadReport(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func manyCodes() (r Row) {
	r.Codes = make(map[uint32]uint64)
	for code := range uint32(MaxCodes + 1) {
		r.Latency.Add(1)
		r.Codes[code+1] = 1
	}
	return r
}

// What is too large for one report goes into several, with nothing lost and nothing twice.
func TestEncodeSplits(t *testing.T) {
	t.Parallel()
	r := Report{Seq: 5, Node: "w", From: when, To: when, LostFailures: 3}
	wide := Row{}
	for b := range Buckets - 1 {
		wide.Add(Upper(b), uint32(1+b%MaxCodes))
	}
	for i := range 2*MaxPairs + 10 {
		row := wide
		row.Module, row.Interface = strings.Repeat("m", MaxName), fmt.Sprint(i)
		r.Rows = append(r.Rows, row)
	}
	for i := range MaxFailures + 10 {
		r.Failures = append(r.Failures, Failure{Time: when, Module: "m", Interface: fmt.Sprint(i),
			Text: strings.Repeat("t", MaxText)})
	}
	if _, err := AppendReport(nil, &r); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
	rows, failures, lost := 0, 0, uint64(0)
	all := Encode(&r)
	for i, b := range all {
		part, err := ReadReport(b)
		if err != nil || part.Seq != r.Seq+uint64(i) || len(b) > MaxReport {
			t.Fatalf("part %d of %d bytes has number %d: %v", i, len(b), part.Seq, err)
		}
		for _, row := range part.Rows {
			if row.Interface != fmt.Sprint(rows) || row.Latency != wide.Latency {
				t.Fatalf("row %d is %s", rows, row.Interface)
			}
			rows++
		}
		for _, f := range part.Failures {
			if f.Interface != fmt.Sprint(failures) {
				t.Fatalf("failure %d is %s", failures, f.Interface)
			}
			failures++
		}
		lost += part.LostFailures
	}
	if rows != len(r.Rows) || failures != len(r.Failures) || lost != 3 || len(all) < 7 {
		t.Errorf("%d reports have %d rows, %d failures, %d lost", len(all), rows, failures, lost)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ж", 200)
	for in, want := range map[string]string{
		"chat": "chat", "": "(none)", "a b": "a b", "чат": "чат", "a\x00\nb": "a\uFFFD\uFFFDb",
		"a\x85\u2028\u202Eb": "a\uFFFD\uFFFD\uFFFDb",
		"a\xffb":             "a\uFFFDb", long: long[:254], "\u200d": "\u200d",
		strings.Repeat("x", 256): strings.Repeat("x", 255),
	} {
		if got := Name(in); got != want || Name(got) != got {
			t.Errorf("Name(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", `it's "x"\`: `it's "x"\`, "a\nb\x1b[0m\x00\u2029": `a\nb\x1b[0m\x00\u2029`, "a\xff\xfeb": "a\uFFFD\uFFFDb",
		strings.Repeat("ж", 600): strings.Repeat("ж", 512), "x" + strings.Repeat("ж", 600): "x" + strings.Repeat("ж", 511),
	} {
		if got := Text(in); got != want || Text(got) != got {
			t.Errorf("Text(%q) = %q, want %q", in, got, want)
		}
	}
	for _, in := range []string{strings.Repeat("\x80", 5000), strings.Repeat("\x00", 5000)} {
		if got := Text(in); len(got) > MaxText || len(got) < MaxText-3 || !utf8.ValidString(got) {
			t.Errorf("%d bytes", len(got))
		}
	}
}

// A row counts a limited number of codes by themselves and loses no failure.
func TestCodesAreBounded(t *testing.T) {
	t.Parallel()
	var a, b Row
	for i := range uint32(100) {
		a.Add(1, i)
		b.Add(1, 1000+i)
	}
	a.Merge(&b)
	for range 20 { // whichever code is merged first
		var c Row
		c.Merge(&a)
		if !reflect.DeepEqual(a, c) {
			t.Fatalf("merged %v, want %v", c.Codes, a.Codes)
		}
	}
	sum := uint64(0)
	for _, n := range a.Codes {
		sum += n
	}
	if a.Count != 200 || a.Success != 1 || sum != 199 || len(a.Codes) != MaxCodes+1 || a.Codes[OtherCode] != 199-MaxCodes {
		t.Errorf("%d calls, %d succeeded, codes %v", a.Count, a.Success, a.Codes)
	}
}

// What ReadReport accepts is written and read again as the same.
func FuzzReadReport(f *testing.F) {
	for _, r := range examples() {
		b, _ := AppendReport(nil, &r)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ReadReport(b)
		if err != nil {
			return
		}
		for i := range r.Rows {
			row, failed := &r.Rows[i], uint64(0)
			for _, n := range row.Codes {
				failed += n
			}
			if row.Count != row.Success+failed || row.Count != row.Latency.Count() || Name(row.Module) != row.Module {
				t.Fatalf("row %+v", row)
			}
		}
		parts := Encode(&r) // names may have grown
		again, err := ReadReport(parts[0])
		if err != nil || len(parts) == 1 && !reflect.DeepEqual(again, r) {
			t.Fatalf("%v\nread  %+v\nagain %+v", err, r, again)
		}
	})
}

// FuzzText checks that what is written into a log is one line of UTF-8.
func FuzzText(f *testing.F) {
	f.Add("a\nb\x1b\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		name, text := Name(s), Text(s)
		if !isClean(name) || !isClean(text) || len(name) > MaxName || name == "" || len(text) > MaxText {
			t.Fatalf("%q %q", name, text)
		}
	})
}
