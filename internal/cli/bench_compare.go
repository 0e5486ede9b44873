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
		Use: "compare A.json[,…] B.json[,…]", Short: "the figures of two runs, or of several runs of two sides, side by side", Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usageError{errors.New("compare needs two reports, as --json writes them, or two lists of reports with commas between them")}
			}
			return nil
		},
		Long: `compare sets the figures of B against those of A, and says of each whether it is better, worse or no difference.

A side is one run or several of the same load: names with commas between them, or a pattern in quotes. Its figure is the median of its runs, and ± is how far the
farthest of them is from it.

  runs a side   what is a difference
  4 and more    what the Mann-Whitney U test finds at 5 %
  3             medians that are further apart than both sides together are wide
  1 or 2        the same, asked of the intervals of the runs' timelines. They do not tell how one run differs from the next: better repeat the runs, A and B in
                turn. Figures that intervals do not have (p90, p99.9, errors, memory) get no word.

Less than 1 % is no difference. A percentage stands only where both sides measured the figure and made the same load on the same processors, a word only where no run
is FAILED, INTERRUPTED or INVALID. What differs is listed, settings of servers and generators too.`,
		Example: `  sluice bench compare old.json new.json
  sluice bench compare old1.json,old2.json,old3.json new1.json,new2.json,new3.json
  sluice bench compare 'old*.json' 'new*.json' --html both.html`,
		RunE: func(_ *cobra.Command, args []string) error {
			a, err := readRuns(args[0])
			if err != nil {
				return err
			}
			b, err := readRuns(args[1])
			if err != nil {
				return err
			}
			if page != "" {
				if err := writeFile(page, func(w io.Writer) error { return report.HTML(w, slices.Concat(a, b)...) }); err != nil {
					return err
				}
			}
			return report.Compare(os.Stdout, a, b)
		},
	}
	c.Flags().StringVar(&page, "html", "", "also write a page to this file that draws the runs over each other")
	return c
}

// readRuns reads the reports of a side: a file, or names and patterns with commas between them. A run that stands there twice would look like one that is always the same.
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
				return nil, usageError{fmt.Errorf("%s: this run is twice among %s", name, side)}
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
