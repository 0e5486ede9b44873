package bench

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"sluice/codec"
)

// plan is what the options say of the other side, ready for use: where it is, how to come in, and what is spoken there. It is static.
type plan struct {
	targets      map[string]*target
	headers      []template // of the handshake, each a line
	host         string     // the Host header that takes the place of the target's; empty: none does
	subprotocols []string
	lines        []string // of Options.Data
	tls          *tls.Config
	froms        []net.Addr // local addresses, taken in turn
	script       *script    // nil: messages are sent as they are
}

// plan makes it. An error says what makes no sense.
func (o *Options) plan() (p *plan, err error) {
	p = &plan{subprotocols: o.Subprotocols}
	if p.targets, err = o.targets(); err != nil {
		return nil, err
	}
	if p.froms, err = addresses(o.Sources); err != nil {
		return nil, fmt.Errorf("source %w", err)
	}
	if p.lines, err = readLines(o.Data); err != nil {
		return nil, err
	}
	if p.tls, err = o.TLS.config(); err != nil {
		return nil, err
	}
	if err := p.readHeaders(o.Headers); err != nil {
		return nil, err
	}
	for _, s := range o.Subprotocols {
		if !codec.IsToken(s) {
			return nil, fmt.Errorf("subprotocol %q is no token", s)
		}
	}
	if o.Envelope != nil {
		if p.script, err = o.script(); err != nil {
			return nil, err
		}
	}
	return p, o.checkPlan(p)
}

// checkPlan finds what does not go together.
func (o *Options) checkPlan(p *plan) error {
	isWS := o.Codec == WebSocket || slices.ContainsFunc(o.Mix, func(f WireFormat) bool { return f.Codec == WebSocket })
	switch {
	case !isWS && (len(o.Headers) > 0 || len(o.Subprotocols) > 0):
		return fmt.Errorf("codec %s has no handshake: there are no headers and subprotocols", o.Codec)
	case o.TLS != (TLS{}) && !o.overTLS():
		return errors.New("there is no target with wss:// or tls:// to verify")
	case o.SlowReaders > 0 && o.overTLS():
		return errors.New("slow readers do not speak TLS")
	case len(p.lines) == 0 && o.usesLines(p):
		return errors.New("{line} needs --data")
	}
	return nil
}

// usesLines tells whether a template asks for a line of Options.Data.
func (o *Options) usesLines(p *plan) bool {
	all := slices.Clone(p.headers)
	for _, t := range p.targets {
		all = append(all, t.path)
	}
	if p.script != nil {
		all = append(all, p.script.before, p.script.after, p.script.inBefore, p.script.inAfter)
		for _, s := range p.script.opening {
			all = append(all, s.send)
		}
	}
	return slices.ContainsFunc(all, func(t template) bool { return t.has(lineOf) })
}

// own are the headers that the handshake has already.
var own = []string{"upgrade", "connection", "sec-websocket-key", "sec-websocket-version", "sec-websocket-accept", "sec-websocket-protocol", "sec-websocket-extensions"}

// readHeaders reads lines "Name: value" (RFC 9110 section 5).
func (p *plan) readHeaders(lines []string) error {
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch {
		case !ok || !codec.IsToken(name):
			return fmt.Errorf("header %q is not Name: value", line)
		case slices.Contains(own, strings.ToLower(name)):
			return fmt.Errorf("header %s is the handshake's own", name)
		case hasControl(value):
			return fmt.Errorf("header %s has a control character in its value", name)
		case strings.EqualFold(name, "Host"):
			p.host = value
			continue
		}
		t, err := parseTemplate(name+": "+value, atHandshake, nil)
		if err != nil {
			return fmt.Errorf("header %s: %w", name, err)
		}
		p.headers = append(p.headers, t)
	}
	return nil
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

// readLines are the lines of a file, none empty at the end; none without a file.
func readLines(name string) ([]string, error) {
	if name == "" {
		return nil, nil
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var lines []string
	for line := range strings.Lines(string(b)) {
		line = strings.TrimRight(line, "\r\n")
		if hasControl(line) {
			return nil, fmt.Errorf("%s: line %d has a control character in it", name, len(lines)+1)
		}
		lines = append(lines, line)
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("%s is empty", name)
	}
	return lines, nil
}

// maxSources is how many local addresses a run may dial from: more than a machine has ports to need.
const maxSources = 1 << 16

// addresses reads IP addresses, ranges FIRST-LAST and prefixes such as 127.0.1.0/28, of which it takes all.
func addresses(list []string) (all []net.Addr, err error) {
	for _, s := range list {
		first, has, err := span(s)
		if err != nil {
			return nil, fmt.Errorf("%q is no address, range of addresses or prefix", s)
		}
		for ip := first; has(ip); ip = ip.Next() {
			if len(all) == maxSources {
				return nil, fmt.Errorf("%q: that is more than %d addresses", s, maxSources)
			}
			all = append(all, net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
		}
	}
	return all, nil
}

var errSpan = errors.New("no span of addresses")

// span is the first address of s, and tells of those that follow whether they are in it too.
func span(s string) (first netip.Addr, has func(netip.Addr) bool, err error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked().Addr(), p.Contains, nil
	}
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		to = from
	}
	first, err = netip.ParseAddr(from)
	last, err2 := netip.ParseAddr(to)
	if err == nil && err2 == nil && (first.BitLen() != last.BitLen() || last.Less(first)) {
		err = errSpan
	}
	return first, func(ip netip.Addr) bool { return ip.IsValid() && !last.Less(ip) }, cmp.Or(err, err2) // behind the last of all there is none
}

// target is where connection i goes, and at which of its addresses.
func (p *plan) target(o *Options, i int) (t *target, addr string) {
	t = p.targets[o.target(i)]
	turn := i / max(len(o.Mix), 1) / len(o.format(uint32(i)).Targets)
	return t, t.addrs[turn%len(t.addrs)]
}

// who is connection i, as templates know it.
func (p *plan) who(i uint32) who {
	w := who{conn: i}
	if n := len(p.lines); n > 0 {
		w.line = p.lines[int(i)%n]
	}
	if p.script != nil {
		w.captured = make([]string, len(p.script.names))
	}
	return w
}

// agreed wants one of the subprotocols that were offered, as browsers do: without it the load would be of another protocol.
func (p *plan) agreed(ws *codec.WebSocket) error {
	if len(p.subprotocols) > 0 && ws.Subprotocol() == "" {
		return fmt.Errorf("the server chose none of the subprotocols %s", strings.Join(p.subprotocols, ", "))
	}
	return nil
}

// remarks are what a reader of the report has to know, and what is no fault.
func (r *Report) remarks() []string {
	all := slices.Clone(r.Unreachable)
	if e := r.Options.Envelope; e != nil && e.Unaudited {
		all = append(all, "not audited: any message that arrived was taken for the answer to the oldest one, and its bytes were not looked at")
	}
	return all
}
