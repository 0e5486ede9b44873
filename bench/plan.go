package bench

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/seed-7410fe32/sluice/codec"
)

// plan is what the options say about the server, parsed. It is static.
type plan struct {
	targets      map[string]*target
	headers      []template // lines of the handshake
	host         template   // replaces the Host header of the target; empty: it does not
	subprotocols []string
	lines        []string // of Options.Data
	tls          *tls.Config
	sources      *sources
	script       *script // nil: messages are sent as they are
}

// newPlan parses the options. Its error is not wrapped in ErrOptions.
func newPlan(o *Options) (p *plan, err error) {
	p = &plan{subprotocols: o.Subprotocols}
	if p.targets, err = parseTargets(o); err != nil {
		return nil, err
	}
	if p.sources, err = parseSources(o.Sources); err != nil {
		return nil, err
	}
	if p.lines, err = readLines(o.Data); err != nil {
		return nil, err
	}
	if p.tls, err = o.TLS.config(); err != nil {
		return nil, err
	}
	for _, line := range o.Headers {
		if err := p.addHeader(line); err != nil {
			return nil, err
		}
	}
	for _, s := range o.Subprotocols {
		if !codec.IsToken(s) {
			return nil, fmt.Errorf("subprotocol %q is not a token", s)
		}
	}
	if o.Envelope != nil {
		if p.script, err = parseScript(o); err != nil {
			return nil, err
		}
	}
	isWS := slices.ContainsFunc(o.formats(), func(f WireFormat) bool { return f.Codec == WebSocket })
	switch {
	case !isWS && (len(o.Headers) > 0 || len(o.Subprotocols) > 0):
		return nil, fmt.Errorf("codec %s has no handshake, and so no headers and subprotocols", o.Codec)
	case o.TLS != (TLS{}) && !o.overTLS():
		return nil, errors.New("TLS options need a target with wss:// or tls://")
	case len(p.lines) == 0 && p.usesLines():
		return nil, errors.New("{line} needs --data")
	case len(p.lines) > 0 && !p.usesLines():
		return nil, errors.New("--data needs a template with {line}")
	}
	return p, nil
}

// usesLines reports whether a template contains {line}.
func (p *plan) usesLines() bool {
	all := append(slices.Clone(p.headers), p.host)
	for _, t := range p.targets {
		all = append(all, t.path)
	}
	if s := p.script; s != nil {
		all = append(all, s.before, s.after, s.inBefore, s.inAfter)
		for _, step := range s.opening {
			all = append(all, step.send)
		}
	}
	return slices.ContainsFunc(all, func(t template) bool { return t.has(lineOf) })
}

// handshakeHeaders cannot be set: the handshake has them.
var handshakeHeaders = []string{
	"upgrade", "connection", "sec-websocket-key", "sec-websocket-version", "sec-websocket-accept",
	"sec-websocket-protocol", "sec-websocket-extensions",
}

// addHeader parses a line "Name: value" (RFC 9110 section 5).
func (p *plan) addHeader(line string) error {
	name, value, ok := strings.Cut(line, ":")
	value = strings.TrimSpace(value)
	switch {
	case !ok || !codec.IsToken(name):
		return fmt.Errorf("header %q is not Name: value", line)
	case slices.Contains(handshakeHeaders, strings.ToLower(name)):
		return fmt.Errorf("header %s is part of the handshake and cannot be set", name)
	case hasControl(value):
		return fmt.Errorf("header %s has a control character in its value", name)
	case value == "":
		return fmt.Errorf("header %s has no value", name)
	}
	isHost := strings.EqualFold(name, "Host")
	if !isHost {
		value = name + ": " + value
	}
	t, err := parseTemplate(value, atHandshake, nil)
	switch {
	case err != nil:
		return fmt.Errorf("header %s: %w", name, err)
	case isHost:
		p.host = t
	default:
		p.headers = append(p.headers, t)
	}
	return nil
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

// readLines returns the lines of a file; none without a file.
func readLines(name string) (lines []string, err error) {
	if name == "" {
		return nil, nil
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimRight(line, "\r\n")
		if hasControl(line) {
			return nil, fmt.Errorf("%s: line %d has a control character", name, len(lines)+1)
		}
		lines = append(lines, line)
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("%s is empty, or not a regular file: it is read more than once", name)
	}
	return lines, nil
}

// target returns the target of connection i and its address there.
func (p *plan) target(o *Options, i int) (t *target, addr string) {
	targets := o.format(uint32(i)).Targets
	turn := i / max(len(o.Mix), 1)
	t = p.targets[targets[turn%len(targets)]]
	return t, t.addrs[turn/len(targets)%len(t.addrs)]
}

// values returns the values of connection i in templates.
func (p *plan) values(i uint32) values {
	v := values{conn: i}
	if n := len(p.lines); n > 0 {
		v.line = p.lines[int(i)%n]
	}
	if p.script != nil {
		v.captured = make([]string, len(p.script.names))
	}
	return v
}

// agreed returns an error if subprotocols were offered and the server chose none, as browsers do.
func (p *plan) agreed(ws *codec.WebSocket) error {
	if len(p.subprotocols) > 0 && ws.Subprotocol() == "" {
		return fmt.Errorf("the server chose none of the subprotocols %s", strings.Join(p.subprotocols, ", "))
	}
	return nil
}

// remarks are what a reader of the report has to know and what is not a fault.
func (r *Report) remarks() []string {
	all := slices.Clone(r.Unreachable)
	if e := r.Options.Envelope; e != nil && e.Unaudited {
		all = append(all, "not audited: any message that arrived counted as the answer to the oldest one, unchecked")
	}
	if e := r.Options.Envelope; e != nil && e.Ignore != "" {
		all = append(all, fmt.Sprintf("%d messages that arrived were ignored: they match /%s/", r.Audit.Ignored, e.Ignore))
	}
	return all
}
