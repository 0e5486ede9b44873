package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-7410fe32/sluice/gateway/admin"
	"github.com/seed-7410fe32/sluice/internal/stats"
)

// statFlags are the flags of sluice stat.
type statFlags struct {
	module, iface, from, to string
	series, failures        bool
	step                    time.Duration
	code, addr, text        string
	limit                   int
	watch                   time.Duration
}

func statCommand() *cobra.Command {
	var q statFlags
	c := operatorCommand(&cobra.Command{
		Use:   "stat",
		Short: "print how the calls of handlers went: counts, success, codes, latency",
		Long: `Print how the calls of handlers went, for each module (chat or echo, for example) and interface
(connect, message, close, timer, or what a handler names). --series prints them step by step, and --failures
prints the log of failed calls, the newest first. Times are RFC 3339, seconds since 1970, or before
now: -90m, -14d. Ask the gateway that keeps the statistics.`,
		Args: noArgs,
	}, func(c *cobra.Command, a *adminClient, _ []string) error {
		if err := q.check(); err != nil {
			return err
		}
		if q.watch == 0 {
			text, err := q.ask(c.Context(), a)
			return errors.Join(printf("%s", text), err)
		}
		return a.repeat(c.Context(), q.watch, 0, func(ctx context.Context) (string, error) {
			text, err := q.ask(ctx, a)
			if a.json {
				text = strings.TrimSuffix(text, "\n") // a line for each
			}
			return text, err
		})
	})
	f := c.Flags()
	f.StringVar(&q.module, "module", "", "only calls of this `module`")
	f.StringVar(&q.iface, "interface", "", "only calls of this `interface`")
	f.StringVar(&q.from, "from", "", "`time` from which calls count (default: an hour before --to)")
	f.StringVar(&q.to, "to", "", "`time` until which calls count (default: now)")
	f.BoolVar(&q.series, "series", false, "print all selected calls together, step by step")
	f.DurationVar(&q.step, "step", 0, "with --series: `time` of a step, a multiple of 5m, or of 1m in the last day; 0: "+
		"one with at most 300 steps")
	f.BoolVar(&q.failures, "failures", false, "print the log of failed calls")
	f.StringVar(&q.code, "code", "", "with --failures: only this failure `code`")
	f.StringVar(&q.addr, "addr", "", "with --failures: only of clients with this `address`, with its port or without")
	f.StringVar(&q.text, "text", "", "with --failures: only with this `text` in their text")
	f.IntVar(&q.limit, "limit", 100, "with --failures: `number` of entries, at most; negative: all")
	f.DurationVar(&q.watch, "watch", 0, "print again and again after this `time`, until q or Ctrl-C; 0: once")
	return c
}

// check refuses flags that make no sense together.
func (q *statFlags) check() error {
	switch {
	case q.series && q.failures:
		return usageError{errors.New("--series and --failures exclude each other")}
	case !q.series && q.step != 0:
		return usageError{errors.New("--step needs --series")}
	case !q.failures && q.code+q.addr+q.text != "":
		return usageError{errors.New("--code, --addr and --text need --failures")}
	case q.step < 0 || q.step%time.Second != 0:
		return usageError{fmt.Errorf("--step: %v: must be whole seconds", q.step)}
	case q.watch != 0 && q.watch < 100*time.Millisecond:
		return usageError{fmt.Errorf("--watch: %v: must be at least 100ms", q.watch)}
	}
	return nil
}

// query returns the parameters that all questions have, and further ones.
func (q *statFlags) query(more map[string]string) url.Values {
	v := url.Values{}
	all := map[string]string{"module": q.module, "interface": q.iface, "from": q.from, "to": q.to}
	maps.Copy(all, more)
	for name, value := range all {
		if value != "" {
			v.Set(name, value)
		}
	}
	return v
}

// ask returns what the command prints.
func (q *statFlags) ask(ctx context.Context, a *adminClient) (string, error) {
	switch {
	case q.failures:
		return q.askFailures(ctx, a)
	case q.series:
		step := ""
		if q.step > 0 {
			step = strconv.Itoa(int(q.step / time.Second))
		}
		var s admin.StatsSeries
		err := a.call(ctx, http.MethodGet, "stats/series?"+q.query(map[string]string{"step": step}).Encode(), nil, &s)
		return textOf(a, s, err, func() [][]string {
			rows := [][]string{append([]string{"TIME"}, callColumns()...)}
			for i := range s.Points {
				rows = append(rows, append([]string{localTime(s.Points[i].Time)}, callCells(&s.Points[i].StatsCalls)...))
			}
			return rows
		})
	}
	var s admin.Stats
	err := a.call(ctx, http.MethodGet, "stats?"+q.query(nil).Encode(), nil, &s)
	return textOf(a, s, err, func() [][]string {
		rows := [][]string{append([]string{"MODULE", "INTERFACE"}, callColumns()...)}
		for i := range s.Rows {
			r := &s.Rows[i]
			rows = append(rows, append([]string{r.Module, r.Interface}, callCells(&r.StatsCalls)...))
		}
		return rows
	})
}

// askFailures asks for pages of the failure log until there are enough.
func (q *statFlags) askFailures(ctx context.Context, a *adminClient) (string, error) {
	all := admin.StatsFailures{Failures: []admin.StatsFailure{}}
	for q.limit < 0 || len(all.Failures) < q.limit {
		v := q.query(map[string]string{"code": q.code, "addr": q.addr, "text": q.text, "cursor": all.Next,
			"limit": strconv.Itoa(pageSize(q.limit, len(all.Failures)))})
		var page admin.StatsFailures
		if err := a.call(ctx, http.MethodGet, "stats/failures?"+v.Encode(), nil, &page); err != nil {
			return "", err
		}
		all.Failures = append(all.Failures, page.Failures...)
		if all.Next = page.Next; page.Next == "" {
			break
		}
	}
	return textOf(a, all, nil, func() [][]string {
		rows := [][]string{{"TIME", "MODULE", "INTERFACE", "CODE", "ADDR", "NODE", "TEXT"}}
		for i := range all.Failures {
			f := &all.Failures[i]
			rows = append(rows, []string{
				localTime(f.Time), f.Module, f.Interface, codeName(f.Code), f.Addr, f.Node, f.Text,
			})
		}
		if all.Next != "" {
			rows = append(rows, []string{"there are more: --limit -1 lists all"})
		}
		return rows
	})
}

// textOf returns an answer as JSON or as a table, or the error.
func textOf(a *adminClient, v any, err error, rows func() [][]string) (string, error) {
	if err != nil {
		return "", err
	}
	var b strings.Builder
	if a.json {
		err = json.NewEncoder(&b).Encode(v)
	} else {
		err = writeTable(&b, rows())
	}
	return b.String(), err
}

func callColumns() []string {
	return []string{"CALLS", "SUCCESS", "MEAN", "P50", "P95", "P99", "MAX", "CODES"}
}

func callCells(c *admin.StatsCalls) []string {
	if c.Count == 0 {
		return []string{"0", "-", "-", "-", "-", "-", "-", ""}
	}
	cells := []string{strconv.FormatUint(c.Count, 10), share(c.Success, c.Count)}
	l := &c.Latency
	for _, seconds := range []float64{l.Mean, l.P50, l.P95, l.P99, l.Max} {
		cells = append(cells, latency(seconds))
	}
	return append(cells, codes(c.Codes))
}

// share is a part of all in percent, with two digits. It is 100 only if the part is all.
func share(part, all uint64) string {
	if part == all {
		return "100%"
	}
	hundredths := uint64(float64(part) / float64(all) * 10_000)
	return fmt.Sprintf("%d.%02d%%", hundredths/100, hundredths%100)
}

// latency is a duration with three digits.
func latency(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	unit := time.Nanosecond
	for d/unit >= 1000 {
		unit *= 10
	}
	return d.Round(unit).String()
}

// codes are failure codes and how many calls had each, the most frequent first.
func codes(all map[uint32]uint64) string {
	list := slices.SortedFunc(maps.Keys(all), func(a, b uint32) int {
		return cmp.Or(cmp.Compare(all[b], all[a]), cmp.Compare(a, b))
	})
	const most = 6
	var words []string
	for _, code := range list[:min(len(list), most)] {
		words = append(words, fmt.Sprintf("%s: %d", codeName(code), all[code]))
	}
	if len(list) > most {
		words = append(words, fmt.Sprintf("and %d others", len(list)-most))
	}
	return strings.Join(words, ", ")
}

// codeName is a failure code in words.
func codeName(code uint32) string {
	if code == stats.OtherCode {
		return "other"
	}
	return strconv.FormatUint(uint64(code), 10)
}

// localTime is a time for people.
func localTime(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }
