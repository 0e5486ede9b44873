package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"

	"sluice/bench"
)

// A record is one run and what came of it: a line of runs.jsonl.
type record struct {
	Peer     string        `json:"peer"`
	Version  string        `json:"version,omitempty"`
	Scenario string        `json:"scenario"`
	Round    int           `json:"round"`
	Loops    string        `json:"loops"`
	Skipped  string        `json:"skipped,omitempty"` // why it was not run
	Failed   string        `json:"failed,omitempty"`
	Report   *bench.Report `json:"report,omitempty"`
}

// runsName is the file of all records.
const runsName = "runs.jsonl"

// ok tells whether the figures count.
func (r record) ok() bool { return r.Skipped == "" && r.Failed == "" && r.Report != nil }

// perMessage is the CPU time of all server processes, in microseconds.
func (r record) perMessage() float64 {
	var sum float64
	for _, s := range r.Report.Servers {
		sum += s.PerMessage
	}
	return sum
}

// perConn is the memory of all server processes, in bytes.
func (r record) perConn() float64 {
	var sum float64
	for _, s := range r.Report.Servers {
		sum += s.PerConn
	}
	return sum
}

// String is the line that tells of its end.
func (r record) String() string {
	head := fmt.Sprintf("%2d %-8s %-12s", r.Round, r.Scenario, r.Peer)
	switch {
	case r.Skipped != "":
		return head + " skipped: " + r.Skipped
	case r.Failed != "":
		return head + " FAILED: " + r.Failed
	case r.Scenario == idle:
		return fmt.Sprintf("%s %8.2f KB a connection", head, r.perConn()/1e3)
	}
	return fmt.Sprintf("%s %8.2f µs %10.0f/s", head, r.perMessage(), r.Report.Rate)
}

func writeRecords(name string, all []record) error {
	var b bytes.Buffer
	for _, r := range all {
		line, err := json.Marshal(r)
		if err != nil {
			return err
		}
		b.Write(append(line, '\n'))
	}
	return os.WriteFile(name, b.Bytes(), 0o644)
}

// readRecords reads what writeRecords wrote; nothing if the file is not there.
func readRecords(name string) (all []record, err error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	lines := json.NewDecoder(bufio.NewReader(f))
	for lines.More() {
		var r record
		if err := lines.Decode(&r); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, r)
	}
	return all, nil
}

// version is the peer's, as this program was built with it or as the scripts' package.json pins it; empty for sluice.
func (m *measurement) version(p peer) string {
	if p.script != "" {
		var pkg struct{ Dependencies map[string]string }
		if b, err := os.ReadFile(filepath.Join(m.scripts, "package.json")); err != nil || json.Unmarshal(b, &pkg) != nil {
			return ""
		}
		return pkg.Dependencies[p.module]
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	i := slices.IndexFunc(info.Deps, func(d *debug.Module) bool { return d.Path == p.module })
	if i < 0 {
		return ""
	}
	return info.Deps[i].Version
}
