package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-7410fe32/sluice/bench"
)

// benchTarget is the flags about a running server that need parsing.
type benchTarget struct {
	message, payload, reply, login, ignore string
}

// templatesHelp describes the flags with templates.
const templatesHelp = `
Other servers (docs/bench.md has the manual):
  --target takes HOST:PORT, ws://HOST[:PORT]/PATH?QUERY or wss://, and for --codec text, json,
  jsonl or frame tcp://HOST:PORT and tls://HOST:PORT. All addresses of a name are used. TLS
  costs the generator CPU time, and three descriptors per connection; the verdict says if it
  was the limit.

Templates are the path of a target, --header, --message, --reply and the send lines of a
login. Braces around anything but a name are literal.
  {conn}     number of the connection, from 0
  {line}     line of --data for the connection; after the last line comes the first again
  {time}     milliseconds since 1970; of a message: when it was due
  {seq}      number of the message on its connection, from 0; only --message and --reply
  {NAME}     value captured by the login; --message, --reply and the rest of the login
  {message}  in --message and --reply, once: 16 characters that identify the message, and x
             up to --size. The server has to send it back.
Values in a path are percent-encoded. With --reply any the server need not send {message}
back: any message that arrives counts as the answer to the oldest unanswered one. Then
nothing is audited, and the report says so.

A login is a file of lines, for each connection before it is ready. Empty lines and lines
that begin with # are comments.
  send TEXT               send a message
  expect PREFIX           wait for the next message; it must begin with PREFIX
  expect /REGEXP/         wait for the next message; it must match
  capture NAME /REGEXP/   set {NAME} to what the only group matches in that message`

func (b *benchRun) targetFlags(c *cobra.Command) {
	f := c.Flags()
	f.StringSliceVar(&b.Targets, "target", nil,
		"HOST:PORT or URL (ws, wss, tcp, tls)[,...] of a running server (default: start one)")
	f.StringVar(&b.Path, "path", "/", "path of the WebSocket handshake, if the target has none; a template")
	f.StringArrayVar(&b.Headers, "header", nil, "'Name: value' of the WebSocket handshake, a template; repeatable")
	f.StringSliceVar(&b.Subprotocols, "subprotocol", nil,
		"NAME[,...] to offer in the WebSocket handshake; the server must choose one")
	f.StringVar(&b.Data, "data", "", "file with a line for each connection, {line} in templates, for example a token")
	f.StringVar(&b.target.login, "login", "", "file of send, expect and capture lines, for each connection")
	f.StringVar(&b.target.ignore, "ignore", "",
		"regular expression: messages that match and are not an answer are only counted")
	f.BoolVar(&b.TLS.Insecure, "insecure", false, "accept any certificate of a wss or tls target")
	f.StringVar(&b.TLS.CA, "ca", "", "file of trusted certificates (PEM), instead of the system's")
	f.StringVar(&b.TLS.ServerName, "server-name", "", "TLS server name to send and verify (default: host of the target)")
	f.StringSliceVar(&b.Sources, "source", nil,
		"local addresses to dial from: ADDRESS, FIRST-LAST or a prefix such as 10.0.0.0/28[,...]")
	switch b.Mode {
	case bench.Echo, bench.Connect, bench.Churn, bench.Broadcast:
		f.StringVar(&b.target.message, "message", "", "template of a message, with {message} in it (default: {message})")
		f.StringVar(&b.target.payload, "payload", "", "file with the template of a message")
		f.StringVar(&b.target.reply, "reply", "", "template of the answer, or any (default: the message as sent)")
	}
}

func (t *benchTarget) parse(o *bench.Options) (err error) {
	if t.message != "" && t.payload != "" {
		return errors.New("--message and --payload exclude each other")
	}
	message := t.message
	if t.payload != "" {
		if message, err = readText("--payload", t.payload); err != nil {
			return err
		}
		if message == "" {
			return fmt.Errorf("--payload: %s: must not be empty", t.payload)
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

// readText reads a file, without a line break at its end.
func readText(flag, name string) (string, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("%s: %w", flag, err)
	}
	return strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r"), nil
}
