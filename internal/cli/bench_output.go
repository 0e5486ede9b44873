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

// benchOutput says where a report goes and in which form.
type benchOutput struct {
	format string
	files  map[string]*string // by form
}

func (o *benchOutput) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.format, "format", "text", "what to print: text, json, csv, gobench, hgrm, prometheus or html")
	o.files = map[string]*string{
		"json":       f.String("json", "", "also write the whole report as JSON to this file, for compare"),
		"html":       f.String("html", "", "also write a page with plots to this file"),
		"csv":        f.String("csv", "", "also write the timeline to this file"),
		"gobench":    f.String("gobench", "", "also write a benchmark line for benchstat to this file"),
		"hgrm":       f.String("hgrm", "", "also write the latency's percentiles to this file"),
		"prometheus": f.String("prometheus", "", "also write metrics for Prometheus to this file, as a textfile collector or a pushgateway takes them"),
	}
}

func (o *benchOutput) check() error {
	if report.Writers[o.format] == nil {
		return fmt.Errorf("--format: there is no %q", o.format)
	}
	for form, name := range o.files {
		if err := writable(*name); err != nil {
			return fmt.Errorf("--%s: %w", form, err)
		}
	}
	return nil
}

// writable tells before a run what would keep its report from being written after it.
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

// write prints the report and fills the files, as many as it can.
func (o *benchOutput) write(r *bench.Report) error {
	err := report.Writers[o.format](os.Stdout, r)
	for form, name := range o.files {
		if *name != "" {
			err = errors.Join(err, writeFile(*name, func(w io.Writer) error { return report.Writers[form](w, r) }))
		}
	}
	return err
}

// writeFile has write fill a file; what fails leaves no half of one.
func writeFile(name string, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	return os.WriteFile(name, b.Bytes(), 0o644)
}
