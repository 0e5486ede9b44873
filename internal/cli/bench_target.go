package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-7410fe32/sluice/bench"
)

// benchTarget is what the command line says of a server that is there already, beside what is in the options.
type benchTarget struct {
	message, payload, reply, login, ignore string
}

// templatesHelp says once what the flags with templates have in common.
const templatesHelp = `
A server of another make (docs/bench.md has the whole manual):
  --target takes HOST:PORT, ws://HOST[:PORT]/PATH?QUERY, wss://…, and for --codec text, json, jsonl or frame tcp://HOST:PORT and tls://HOST:PORT.
  Of a name with several addresses all are used. TLS costs the generator CPU time, and a connection three descriptors; the verdict says when that was the limit.

Templates are the path of a target, --header, --message, --reply and what a login sends. Braces around anything but a name stand for themselves.
  {conn}     the number of the connection, from 0
  {line}     its line of --data: connection 0 has the first; after the last comes the first again
  {time}     milliseconds since 1970: of a message, when it was due
  {seq}      the number of the message on its connection, from 0; --message and --reply alone
  {NAME}     what the login has captured as NAME; --message, --reply, and the login from there on
  {message}  in --message and --reply, once: 16 characters that say which message it is, and x up to --size. The server has to send it back.
In a path what is filled in is percent-encoded. With --reply any the server need not send {message} back: the oldest message counts as answered by whatever
arrives. Then nothing is audited, and the report says so.

A login is a file of lines, for each connection before it counts as ready. Empty lines and those that begin with # are left out.
  send TEXT               send a message
  expect PREFIX           wait for the next message, which has to begin so
  expect /REGEXP/         wait for the next message, which has to match
  capture NAME /REGEXP/   of that message, keep what the one group matches`

func (b *benchRun) targetFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringSliceVar(&b.Targets, "target", nil, "HOST:PORT or URL[,…] of a running server (ws, wss, tcp or tls); without it one is started")
	f.StringVar(&b.Path, "path", "/", "of the WebSocket handshake, where the target has none; a template")
	f.StringArrayVar(&b.Headers, "header", nil, "'Name: value' of the WebSocket handshake, a template; repeatable")
	f.StringSliceVar(&b.Subprotocols, "subprotocol", nil, "NAME[,…] to offer in the WebSocket handshake; the server has to choose one")
	f.StringVar(&b.Data, "data", "", "a file with a line for each connection, {line} in templates: a token, for example")
	f.StringVar(&b.target.login, "login", "", "a file of send, expect and capture lines, for each connection before the load")
	f.StringVar(&b.target.ignore, "ignore", "", "a regular expression: messages of the server that match, and are no answer, such as who came and who left; they are counted and no more")
	f.BoolVar(&b.TLS.Insecure, "insecure", false, "take any certificate of a wss or tls target")
	f.StringVar(&b.TLS.CA, "ca", "", "a file of certificates, PEM, to trust instead of the system's")
	f.StringVar(&b.TLS.ServerName, "server-name", "", "to ask for and to verify in TLS (default: the target's host)")
	f.StringSliceVar(&b.Sources, "source", nil, "local addresses to dial from: ADDRESS, FIRST-LAST or a prefix such as 10.0.0.0/28[,…]")
	switch b.Mode {
	case bench.Echo, bench.Connect, bench.Churn, bench.Broadcast:
		f.StringVar(&b.target.message, "message", "", "template of what is sent, with {message} in it (default: {message} alone)")
		f.StringVar(&b.target.payload, "payload", "", "the same, from a file")
		f.StringVar(&b.target.reply, "reply", "", "template of what answers it, or any (default: as sent)")
	}
}

// parse reads the files.
func (t *benchTarget) parse(o *bench.Options) (err error) {
	if t.message != "" && t.payload != "" {
		return errors.New("--message and --payload are the same: take one")
	}
	message := t.message
	if t.payload != "" {
		if message, err = readText("--payload", t.payload); err != nil {
			return err
		}
		if message == "" {
			return fmt.Errorf("--payload: %s is empty", t.payload)
		}
	}
	login := ""
	if t.login != "" {
		if login, err = readText("--login", t.login); err != nil {
			return err
		}
	}
	if o.Envelope, err = bench.ParseEnvelope(message, t.reply, login); err == nil && t.ignore != "" {
		if o.Envelope == nil {
			o.Envelope = &bench.Envelope{AsSent: true}
		}
		o.Envelope.Ignore = t.ignore
	}
	return err
}

// readText is what a file holds, without a line break at its end.
func readText(flag, name string) (string, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("%s: %w", flag, err)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), nil
}
