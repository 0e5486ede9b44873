package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed-7410fe32/sluice/gateway"
)

// usageColumns is the width of the help of chat, echo and gateway.
const usageColumns = 100

// clientHelp is the part of the long help that is about clients.
func clientHelp() string {
	return `
Protocols of --listen, with TLS as wss, tls+text, tls+jsonl, tls+json and tls+frame:
  ws      WebSocket, on any path; with /PATH on that one only, with /PATH/* also on those below it
  text    lines of text
  jsonl   a JSON document in each line
  json    a JSON document after its length
  frame   any bytes after their length
A length has four bytes, big-endian, and includes itself: 00 00 00 09 68 65 6c 6c 6f is hello.

Workers see these header fields of a WebSocket's request, and those of --keep-header:
` + wrap(strings.Join(gateway.KeptHeaders(), ", "), usageColumns)
}

// wrap breaks text between words into lines of at most so many columns, indented by two.
func wrap(text string, columns int) string {
	var b strings.Builder
	line := 0
	for word := range strings.FieldsSeq(text) {
		if line > 0 && line+1+len(word) > columns {
			b.WriteByte('\n')
			line = 0
		}
		if line == 0 {
			b.WriteByte(' ')
			line = 1
		}
		b.WriteString(" " + word)
		line += 1 + len(word)
	}
	return b.String()
}

// topic is a heading of the help, and the flags below it.
type topic struct {
	title string
	flags string
}

// topics are the headings of the help of chat, echo and gateway. A command lacks some of the flags.
var topics = []topic{
	{"Listeners", "listen chat-page origin host authenticate trust-proxy proxy-header keep-header max-request compress " +
		"max-takeover-bytes"},
	{"TLS", "tls-cert tls-key tls-ticket-keys max-tls-handshakes tls-handshake-rate link-tls-cert link-tls-key " +
		"link-tls-ca link-tls-name"},
	{"Limits of clients", "max-message message-rate byte-rate max-conns max-per-ip connect-rate " +
		"max-groups max-group-bytes address-rate"},
	{"Timeouts of clients", "handshake-timeout first-message-timeout message-timeout write-timeout " +
		"heartbeat idle-timeout"},
	{"Tokens of clients", "jwt-key-file jwt-secret-file jwt-jwks-file jwt-optional jwt-from jwt-algorithm jwt-issuer " +
		"jwt-audience jwt-leeway jwt-uid-claim jwt-attribute"},
	{"Buffers", "max-output overflow max-buffered max-partial-bytes max-queue-bytes max-unrouted-bytes"},
	{"Workers", "worker workers gateway inner advertise key-file router rebalance adopt-rate name weight window " +
		"broadcast-prefix"},
	{"Directory", "engine engine-prefix engine-password-file engine-ca"},
	{"Operators", "admin admin-token-file admin-publish-rate admin-tls-cert admin-tls-key"},
	{"Data and statistics", "data stats-max-bytes stats-to stats-to-token-file stats-to-ca stat-udp alerts"},
	{"Drain, after SIGTERM", "drain-delay drain-rate drain-timeout"},
	{"Configuration and log", "config log-format log-level log-rate access-log access-log-sample"},
	{"Process", "reactors pin help"},
}

// usageByTopic prints the usage of a command with its flags under the headings of topics.
func usageByTopic(c *cobra.Command) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage:\n  %s\n", c.UseLine())
	left := pflag.NewFlagSet("", pflag.ContinueOnError)
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if !slices.ContainsFunc(topics, func(t topic) bool { return slices.Contains(strings.Fields(t.flags), f.Name) }) {
			left.AddFlag(f)
		}
	})
	for _, t := range topics {
		set := pflag.NewFlagSet("", pflag.ContinueOnError)
		set.SortFlags = false
		for name := range strings.FieldsSeq(t.flags) {
			if f := c.Flags().Lookup(name); f != nil {
				set.AddFlag(f)
			}
		}
		printFlags(&b, t.title, set)
	}
	printFlags(&b, "Others", left)
	_, err := fmt.Fprint(c.OutOrStderr(), b.String())
	return err
}

func printFlags(b *strings.Builder, title string, set *pflag.FlagSet) {
	if set.HasAvailableFlags() {
		fmt.Fprintf(b, "\n%s:\n%s", title, set.FlagUsagesWrapped(usageColumns))
	}
}
