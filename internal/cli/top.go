package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/seed-7410fe32/sluice/gateway/admin"
)

// topSlow is how many slow clients top shows.
const topSlow = 10

// sample is what top shows at one moment.
type sample struct {
	at      time.Time
	status  admin.Status
	workers admin.Workers
	slow    admin.Clients
}

func topCommand() *cobra.Command {
	var interval time.Duration
	var count int
	c := operatorCommand(&cobra.Command{
		Use:   "top",
		Short: "show what a gateway does, live",
		Long: `Show rates, event loops, workers and slow clients of a gateway, again and again. q or Ctrl-C ends it.
Without a terminal it prints one screen after the other, and with --json one status in each line.`,
		Args: noArgs,
	}, func(c *cobra.Command, a *adminClient, _ []string) error {
		if interval < 100*time.Millisecond {
			return usageError{fmt.Errorf("--interval: %v: must be at least 100ms", interval)}
		}
		if count < 0 {
			return usageError{fmt.Errorf("--count: %d: must be at least 0", count)}
		}
		return a.top(c.Context(), interval, count)
	})
	c.Flags().DurationVar(&interval, "interval", time.Second, "`time` between two screens")
	c.Flags().IntVar(&count, "count", 0, "`number` of screens; 0: until it is ended")
	return c
}

// top shows screens until ctx ends, q is pressed, or count screens were shown.
func (a *adminClient) top(ctx context.Context, interval time.Duration, count int) error {
	var before sample
	return a.repeat(ctx, interval, count, func(ctx context.Context) (string, error) {
		now, err := a.sample(ctx)
		if err != nil {
			return "", err
		}
		if a.json {
			b, err := json.Marshal(now.status)
			return string(b), err
		}
		screen := render(&before, now)
		before = *now
		return screen, nil
	})
}

// repeat shows screens until ctx ends, q is pressed, or count screens were shown. After an error of
// a live screen that is not the first one, it shows that until the next one.
func (a *adminClient) repeat(
	ctx context.Context, interval time.Duration, count int, screen func(context.Context) (string, error),
) error {
	ctx, quit := context.WithCancel(ctx)
	defer quit()
	live := term.IsTerminal(int(os.Stdout.Fd())) && !a.json
	if live {
		restore := watchKeys(quit)
		defer restore()
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for shown := 0; count == 0 || shown < count; shown++ {
		if shown > 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
		}
		text, err := screen(ctx)
		switch {
		case err != nil && ctx.Err() != nil:
			return nil
		case err != nil && (!live || shown == 0):
			return err
		case err != nil:
			text = oneLine(err.Error()) + "\n"
		}
		if err := show(text, live); err != nil {
			return err
		}
	}
	return nil
}

// sample asks for what a screen shows.
func (a *adminClient) sample(ctx context.Context) (*sample, error) {
	s := &sample{at: time.Now()}
	if err := a.call(ctx, http.MethodGet, "status", nil, &s.status); err != nil {
		return nil, err
	}
	if a.json {
		return s, nil
	}
	return s, errors.Join(a.call(ctx, http.MethodGet, "workers", nil, &s.workers),
		a.call(ctx, http.MethodGet, "clients?slow=true&limit="+strconv.Itoa(topSlow), nil, &s.slow))
}

// show prints one screen.
func show(screen string, live bool) error {
	if !live {
		return printf("%s\n", screen)
	}
	width, height, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil || width < 1 || height < 1 {
		width, height = 80, 24
	}
	return printf("%s", fit(screen, width, height))
}

// fit returns the bytes that replace a terminal's screen by a text: from the top, without its lower
// lines and the ends of long ones.
func fit(screen string, width, height int) string {
	lines := strings.Split(strings.TrimSuffix(screen, "\n"), "\n")
	lines = lines[:min(len(lines), max(height-1, 1))]
	var b strings.Builder
	b.WriteString("\x1b[H")
	for _, line := range lines {
		if runes := []rune(line); len(runes) > width {
			line = string(runes[:width])
		}
		b.WriteString(line + "\x1b[K\r\n")
	}
	b.WriteString("\x1b[J")
	return b.String()
}

// watchKeys calls quit when q or Ctrl-C is pressed. The function that it returns restores the
// terminal.
func watchKeys(quit func()) (restore func()) {
	in := int(os.Stdin.Fd())
	state, err := term.MakeRaw(in)
	if err != nil {
		return func() {} // standard input is no terminal: only signals end it
	}
	_ = printf("\x1b[?25l\x1b[2J") // hide the cursor, clear the screen
	go func() {
		for key := make([]byte, 1); ; {
			if n, err := os.Stdin.Read(key); err != nil || n == 1 && (key[0] == 'q' || key[0] == 3) {
				quit()
				return
			}
		}
	}()
	return func() {
		_ = term.Restore(in, state)
		_ = printf("\x1b[?25h")
	}
}

// render returns the screen for a moment. The rates are those since the moment before.
func render(before, now *sample) string {
	var b strings.Builder
	s, t, old := &now.status, &now.status.Totals, &before.status.Totals
	seconds := now.at.Sub(before.at).Seconds()
	if before.at.IsZero() || s.Uptime < before.status.Uptime { // the first screen, or the gateway has restarted
		old, seconds = t, 1
	}
	rate := func(now, before uint64) string { return fmt.Sprintf("%.0f", float64(now-before)/seconds) }
	up := time.Duration(s.Uptime * float64(time.Second)).Round(time.Second)
	fmt.Fprintf(&b, "%s  %s  up %v  %s\n", oneLine(s.Name), oneLine(readiness(s)), up, now.at.Format(time.TimeOnly))
	fmt.Fprintf(&b, "clients %d (+%s -%s a second)  workers %d\n", s.Clients, rate(t.Opened, old.Opened),
		rate(t.Closed, old.Closed), s.Workers)
	fmt.Fprintf(&b, "messages a second: %s in, %s out, %s rejected, %s dropped\n\n", rate(t.MessagesIn, old.MessagesIn),
		rate(t.MessagesOut, old.MessagesOut), rate(t.Rejected, old.Rejected), rate(t.Dropped, old.Dropped))
	rows := [][]string{{"LOOP", "CLIENTS", "IN/S", "OUT/S", "QUEUED", "BUFFERED", "SLOW", "WORKERS"}}
	for i := range s.Loops {
		l, o := &s.Loops[i], s.Loops[i].Totals
		if old != t && i < len(before.status.Loops) {
			o = before.status.Loops[i].Totals
		}
		rows = append(rows, []string{
			strconv.Itoa(i), strconv.Itoa(l.Clients), rate(l.MessagesIn, o.MessagesIn), rate(l.MessagesOut, o.MessagesOut),
			size(l.Queued), size(l.Buffered), strconv.Itoa(l.Slow), strconv.Itoa(l.Workers),
		})
	}
	_ = writeTable(&b, rows) // a Builder does not fail
	b.WriteByte('\n')
	_ = writeTable(&b, workerRows(now.workers.Workers))
	if len(now.slow.Clients) > 0 {
		rows = [][]string{{"SLOW CLIENT", "ADDR", "UID", "OUTPUT", "SINCE"}}
		for i := range now.slow.Clients {
			c := &now.slow.Clients[i]
			rows = append(rows, []string{c.ID, c.Addr, c.UID, size(c.OutputBytes), ago(c.Since)})
		}
		b.WriteByte('\n')
		_ = writeTable(&b, rows)
	}
	return b.String()
}
