package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/seed-7410fe32/sluice/bench"
)

// Text writes a summary for people. The last part is the verdict.
func Text(w io.Writer, r *bench.Report) error {
	var b strings.Builder
	m := modelOf(r)
	fmt.Fprintf(&b, "%s\n%s\n\n", m.Title, m.Loop)
	for _, s := range m.Speed {
		fmt.Fprintf(&b, "  %s\n", s)
	}
	for _, rows := range [][][]string{m.Latency, m.Audit} {
		if len(rows) > 0 {
			b.WriteByte('\n')
			table(&b, rows...)
		}
	}
	if len(m.Errors) > 0 {
		b.WriteString("\n  errors\n")
	}
	for _, e := range m.Errors {
		fmt.Fprintf(&b, "  %s × %s: %s\n", e[0], e[1], e[2])
	}
	b.WriteByte('\n')
	table(&b, m.Processes...)
	fmt.Fprintf(&b, "\n%s\n", m.Verdict)
	for _, reason := range m.Reasons {
		fmt.Fprintf(&b, "  %s\n", reason)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// table writes rows in aligned columns. The first column is flush left, the others flush right.
func table(b *strings.Builder, rows ...[]string) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i > 0 {
				cell, pad = pad+cell, ""
			}
			line.WriteString("  " + cell + pad)
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}
