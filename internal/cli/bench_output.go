package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/bench/report"
)

// benchOutput says where a report goes, and in which formats.
type benchOutput struct {
	format string
	files  map[string]*string // by format
}

func (o *benchOutput) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.format, "format", "text", "format to print: text, json, csv, gobench, hgrm, prometheus or html")
	o.files = make(map[string]*string)
	for format, content := range map[string]string{
		"json": "the whole report (JSON, for compare)", "html": "a page with plots", "csv": "the timeline",
		"gobench": "a benchmark line for benchstat", "hgrm": "the latency percentiles",
		"prometheus": "metrics for a Prometheus textfile collector or pushgateway",
	} {
		o.files[format] = f.String(format, "", "also write "+content+" to this file")
	}
}

func (o *benchOutput) check() error {
	if report.Writers[o.format] == nil {
		return fmt.Errorf("--format: %q: unknown format", o.format)
	}
	for format, name := range o.files {
		if err := writable(*name); err != nil {
			return fmt.Errorf("--%s: %w", format, err)
		}
	}
	return nil
}

// writable returns, before a run, the error that would prevent writing the file after it.
func writable(name string) error {
	if name == "" {
		return nil
	}
	_, err := os.Stat(name)
	isNew := errors.Is(err, fs.ErrNotExist)
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	err = f.Close()
	if isNew {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

// write prints the report and writes the files, as many as it can.
func (o *benchOutput) write(r *bench.Report) error {
	err := report.Writers[o.format](os.Stdout, r)
	for format, name := range o.files {
		write := func(w io.Writer) error { return report.Writers[format](w, r) }
		err = errors.Join(err, writeFile(*name, write))
	}
	return err
}

// writeFile writes a file, if it has a name. If write fails the file is not touched.
func writeFile(name string, write func(io.Writer) error) error {
	if name == "" {
		return nil
	}
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	return os.WriteFile(name, b.Bytes(), 0o644)
}
