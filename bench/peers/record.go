package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/seed-7410fe32/sluice/bench"
)

// A record is the result of one run: a line of runs.jsonl.
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

func (r record) ok() bool { return r.Skipped == "" && r.Failed == "" && r.Report != nil }

// perMessage is the CPU time of all server processes per message, in microseconds.
func perMessage(r *bench.Report) float64 {
	return r.Total(func(p bench.ProcessUsage) float64 { return p.PerMessage })
}

// perConn is the memory of all server processes per connection, in bytes.
func perConn(r *bench.Report) float64 {
	return r.Total(func(p bench.ProcessUsage) float64 { return p.PerConn })
}

// String returns the line that is printed after the run.
func (r record) String() string {
	head := fmt.Sprintf("%2d %-8s %-12s", r.Round, r.Scenario, r.Peer)
	switch {
	case r.Skipped != "":
		return head + " skipped: " + r.Skipped
	case r.Failed != "":
		return head + " FAILED: " + r.Failed
	case r.Scenario == idle:
		return fmt.Sprintf("%s %8.2f KB a connection", head, perConn(r.Report)/1e3)
	}
	return fmt.Sprintf("%s %8.2f µs %10.0f/s", head, perMessage(r.Report), r.Report.Rate)
}

func writeRecords(name string, all []record) error {
	var b bytes.Buffer
	lines := json.NewEncoder(&b)
	for _, r := range all {
		if err := lines.Encode(r); err != nil {
			return err
		}
	}
	return os.WriteFile(name, b.Bytes(), 0o644)
}

// readRecords reads what writeRecords has written. Without a file there are no records.
func readRecords(name string) (all []record, err error) {
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for lines := json.NewDecoder(bytes.NewReader(b)); err == nil && lines.More(); {
		all = append(all, record{})
		err = lines.Decode(&all[len(all)-1])
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return all, nil
}
