package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/bench/report"
)

func benchCompareCommand() *cobra.Command {
	var page string
	c := &cobra.Command{
		Use:   "compare A.json[,...] B.json[,...]",
		Short: "compare two runs, or several runs of each of two sides",
		Long: `compare sets the figures of B against those of A, and says of each figure whether it is
better, worse, or shows no difference.

A side is one run, or several of the same load: names with commas between them, or a pattern
in quotes. Its figure is the median of its runs. The column ± is the distance of the farthest
run from the median.

  runs a side   what counts as a difference
  4 and more    what the Mann-Whitney U test finds at 5 %
  3             medians that are further apart than both sides together are wide
  1 or 2        the same for the intervals of the runs' timelines. They do not tell how runs
                differ: better repeat the runs, A and B in turn. Figures that intervals do not
                have (p90, p99.9, errors, memory) get no word.

Less than 1 % is no difference. A percentage needs a figure that both sides measured, with the
same load on the same processors. A word also needs that no run is FAILED, INTERRUPTED or
INVALID. Different settings are listed, those of servers and generators too.`,
		Example: `  sluice bench compare old.json new.json
  sluice bench compare old1.json,old2.json,old3.json new1.json,new2.json,new3.json
  sluice bench compare 'old*.json' 'new*.json' --html both.html`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usageError{errors.New("compare needs two reports, as --json writes them, or two lists of reports")}
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			a, err := readRuns(args[0])
			if err != nil {
				return err
			}
			b, err := readRuns(args[1])
			if err != nil {
				return err
			}
			html := func(w io.Writer) error { return report.HTML(w, slices.Concat(a, b)...) }
			if err := writeFile(page, html); err != nil {
				return err
			}
			return report.Compare(os.Stdout, a, b)
		},
	}
	c.Flags().StringVar(&page, "html", "", "also write a page with plots of all runs to this file")
	return c
}

// readRuns reads the reports of a side: a file, or names and patterns with commas between them. It
// refuses a run that is given twice, which would look like runs that do not differ.
func readRuns(side string) (runs []*bench.Report, err error) {
	parts := []string{side}
	if !isFile(side) {
		parts = strings.Split(side, ",")
	}
	for _, part := range parts {
		names, _ := filepath.Glob(part)
		if isFile(part) || len(names) == 0 {
			names = []string{part}
		}
		for _, name := range names {
			r, err := readReport(name)
			if err != nil {
				return nil, err
			}
			if slices.ContainsFunc(runs, func(other *bench.Report) bool { return other.Started.Equal(r.Started) }) {
				return nil, usageError{fmt.Errorf("%s: this run is twice in %s", name, side)}
			}
			runs = append(runs, r)
		}
	}
	return runs, nil
}

func isFile(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

func readReport(name string) (*bench.Report, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	r, err := report.Read(f)
	_ = f.Close()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}
