package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/seed-7410fe32/sluice/gateway/admin"
)

// print prints a value as JSON, or calls plain.
func (a *adminClient) print(v any, plain func() error) error {
	if !a.json {
		return plain()
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return printf("%s\n", b)
}

// printf writes to standard output.
func printf(format string, args ...any) error {
	_, err := fmt.Printf(format, args...)
	return err
}

// oneLine makes a text of a client or a server safe for a terminal: one line without control
// characters.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.TrimSpace(s))
}

// table prints rows in columns.
func table(rows ...[]string) error { return writeTable(os.Stdout, rows) }

// writeTable writes rows in columns. Cells are made safe for a terminal.
func writeTable(to io.Writer, rows [][]string) error {
	w := tabwriter.NewWriter(to, 0, 4, 2, ' ', 0)
	for _, row := range rows {
		for i := range row {
			row[i] = oneLine(row[i])
		}
		if _, err := fmt.Fprintln(w, strings.Join(row, "\t")); err != nil {
			return err
		}
	}
	return w.Flush()
}

// ago is the time since t, in words.
func ago(t time.Time) string { return time.Since(t).Round(time.Second).String() }

func statusCommand() *cobra.Command {
	return operatorCommand(&cobra.Command{
		Use: "status", Short: "print what a gateway is and how it is", Args: noArgs,
	}, func(c *cobra.Command, a *adminClient, _ []string) error {
		var s admin.Status
		if err := a.call(c.Context(), http.MethodGet, "status", nil, &s); err != nil {
			return err
		}
		return a.print(s, func() error { return printStatus(&s) })
	})
}

// readiness says in words whether a gateway is ready.
func readiness(s *admin.Status) string {
	if s.Ready {
		return "ready"
	}
	return "not ready: " + s.Reason
}

func printStatus(s *admin.Status) error {
	up := time.Duration(s.Uptime * float64(time.Second)).Round(time.Second)
	if err := table(
		[]string{"gateway", fmt.Sprintf("%s (id %d)", s.Name, s.ID)},
		[]string{"version", s.Version},
		[]string{"state", readiness(s)},
		[]string{"up", up.String()},
		[]string{"clients", strconv.Itoa(s.Clients)},
		[]string{"workers", fmt.Sprintf("%d, on %s", s.Workers, s.Inner)},
		[]string{"messages", fmt.Sprintf("%d received, %d sent, %d rejected, %d dropped", s.Totals.MessagesIn,
			s.Totals.MessagesOut, s.Totals.Rejected, s.Totals.Dropped)},
	); err != nil {
		return err
	}
	rows := [][]string{{"LISTENER", "CONNECTIONS", "ACCEPTED", "REFUSED"}}
	for _, l := range s.Listen {
		rows = append(rows, []string{l.URL, strconv.Itoa(l.Connections), fmt.Sprint(l.Accepted), fmt.Sprint(l.Refused)})
	}
	if err := printf("\n"); err != nil {
		return err
	}
	return table(rows...)
}

func clientsCommand() *cobra.Command {
	var q struct {
		uid, group, addr, listener string
		slow                       bool
		limit                      int
	}
	c := operatorCommand(&cobra.Command{
		Use: "clients", Short: "list the clients of a gateway", Args: noArgs,
	}, func(c *cobra.Command, a *adminClient, _ []string) error {
		v := url.Values{}
		for name, value := range map[string]string{"uid": q.uid, "group": q.group, "addr": q.addr, "listener": q.listener} {
			if value != "" {
				v.Set(name, value)
			}
		}
		if q.slow {
			v.Set("slow", "true")
		}
		return a.listClients(c, v, q.limit)
	})
	f := c.Flags()
	f.StringVar(&q.uid, "uid", "", "only clients of this `uid`")
	f.StringVar(&q.group, "group", "", "only clients in this `group`")
	f.StringVar(&q.addr, "addr", "", "only clients from this `address`, ADDRESS:PORT or prefix")
	f.StringVar(&q.listener, "listener", "", "only clients of the listener with this `URL`")
	f.BoolVar(&q.slow, "slow", false, "only clients that do not read fast enough")
	f.IntVar(&q.limit, "limit", 100, "`number` of clients that are listed, at most; negative: all")
	return c
}

// listClients prints clients page by page, so that many need no memory.
func (a *adminClient) listClients(c *cobra.Command, q url.Values, limit int) error {
	out := bufio.NewWriter(os.Stdout)
	const row = "%-26s  %-21s  %-16s  %-12s  %6s  %9s  %9s  %s\n"
	if a.json {
		_, _ = out.WriteString(`{"clients":[`) // out keeps an error until Flush
	} else {
		_, _ = fmt.Fprintf(out, row, "ID", "ADDR", "UID", "WORKER", "GROUPS", "QUEUED", "OUTPUT", "SINCE")
	}
	listed, next := 0, ""
	for limit < 0 || listed < limit {
		q.Set("limit", strconv.Itoa(pageSize(limit, listed)))
		var page admin.Clients
		if err := a.call(c.Context(), http.MethodGet, "clients?"+q.Encode(), nil, &page); err != nil {
			if listed > 0 {
				err = errors.Join(err, out.Flush())
			}
			return err
		}
		for i := range page.Clients {
			p := &page.Clients[i]
			if listed++; !a.json {
				_, _ = fmt.Fprintf(out, row, p.ID, p.Addr, oneLine(p.UID), oneLine(p.Worker), strconv.Itoa(p.GroupCount),
					size(p.QueuedBytes), size(p.OutputBytes), ago(p.Since))
				continue
			}
			if listed > 1 {
				_ = out.WriteByte(',')
			}
			b, err := json.Marshal(p)
			if err != nil {
				return err
			}
			_, _ = out.Write(b)
		}
		if next = page.Next; next == "" {
			break
		}
		q.Set("cursor", next)
	}
	switch {
	case a.json && next != "":
		_, _ = fmt.Fprintf(out, "],\"next\":%q}\n", next)
	case a.json:
		_, _ = out.WriteString("]}\n")
	case next != "":
		_, _ = fmt.Fprintf(out, "there are more: --limit -1 lists all\n")
	}
	return out.Flush()
}

// pageSize is the limit of the next page.
func pageSize(limit, listed int) int {
	if limit < 0 {
		return 1000
	}
	return min(limit-listed, 1000)
}

// size is a number of bytes in words.
func size(n int) string {
	switch {
	case n < 10<<10:
		return strconv.Itoa(n) + " B"
	case n < 10<<20:
		return strconv.Itoa(n>>10) + " KiB"
	}
	return strconv.Itoa(n>>20) + " MiB"
}

func clientCommand() *cobra.Command {
	return operatorCommand(&cobra.Command{
		Use: "client ID", Short: "print one client in detail", Args: oneArg("the id of a client"),
	}, func(c *cobra.Command, a *adminClient, args []string) error {
		var d admin.ClientDetail
		if err := a.call(c.Context(), http.MethodGet, pathOfClient(args[0]), nil, &d); err != nil {
			return err
		}
		return a.print(d, func() error {
			return table(
				[]string{"id", d.ID}, []string{"addr", d.Addr}, []string{"listener", d.Listener}, []string{"uid", d.UID},
				[]string{"since", ago(d.Since) + " ago"}, []string{"last heard", ago(d.LastHeard) + " ago"},
				[]string{"worker", d.Worker + " " + d.WorkerID}, []string{"pending", strconv.FormatBool(d.Pending)},
				[]string{"queued", fmt.Sprintf("%d messages, %s", d.QueuedMessages, size(d.QueuedBytes))},
				[]string{"unacked", size(d.UnackedBytes)}, []string{"output", size(d.OutputBytes)},
				[]string{"attributes", fmt.Sprintf("%d, %s", d.Attributes, size(d.AttrBytes))},
				[]string{"groups", strings.Join(d.Groups, ", ")},
			)
		})
	})
}

func groupsCommand() *cobra.Command {
	var prefix string
	var limit int
	c := operatorCommand(&cobra.Command{
		Use: "groups", Short: "list the groups that clients of a gateway are in", Args: noArgs,
	}, func(c *cobra.Command, a *adminClient, _ []string) error {
		all := admin.Groups{Groups: []admin.Group{}}
		for limit < 0 || len(all.Groups) < limit {
			q := url.Values{"limit": {strconv.Itoa(pageSize(limit, len(all.Groups)))}}
			if prefix != "" {
				q.Set("prefix", prefix)
			}
			if all.Next != "" {
				q.Set("cursor", all.Next)
			}
			var page admin.Groups
			if err := a.call(c.Context(), http.MethodGet, "groups?"+q.Encode(), nil, &page); err != nil {
				return err
			}
			all.Groups = append(all.Groups, page.Groups...)
			if all.Next = page.Next; page.Next == "" {
				break
			}
		}
		return a.print(all, func() error {
			rows := [][]string{{"CLIENTS", "GROUP"}}
			for _, g := range all.Groups {
				rows = append(rows, []string{strconv.Itoa(g.Clients), g.Name})
			}
			if all.Next != "" {
				rows = append(rows, []string{"there are more: --limit -1 lists all"})
			}
			return table(rows...)
		})
	})
	c.Flags().StringVar(&prefix, "prefix", "", "`text` that the names begin with")
	c.Flags().IntVar(&limit, "limit", 100, "`number` of groups that are listed, at most; negative: all")
	return c
}

func workersCommand() *cobra.Command {
	return operatorCommand(&cobra.Command{
		Use: "workers", Short: "list the workers of a gateway", Args: noArgs,
	}, func(c *cobra.Command, a *adminClient, _ []string) error {
		var w admin.Workers
		if err := a.call(c.Context(), http.MethodGet, "workers", nil, &w); err != nil {
			return err
		}
		return a.print(w, func() error { return table(workerRows(w.Workers)...) })
	})
}

// workerRows are the rows of a table of workers.
func workerRows(workers []admin.Worker) [][]string {
	rows := [][]string{{"WORKER", "ID", "ADDR", "BUILD", "CLIENTS", "LINKS", "UNACKED", "OUTPUT", "STATE"}}
	for _, w := range workers {
		state := "active"
		switch {
		case w.Draining:
			state = "draining"
		case w.Behind:
			state = "behind"
		}
		rows = append(rows, []string{
			w.Name, w.ID[:min(8, len(w.ID))], w.Addr, w.Build, strconv.Itoa(w.Clients), strconv.Itoa(w.Links),
			size(w.UnackedBytes), size(w.OutputBytes), state,
		})
	}
	return rows
}
