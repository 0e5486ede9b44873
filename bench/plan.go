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

	"github.com/seed-7410fe32/sluice/codec"
)

// plan is what the options say of the other side, ready for use: where it is, how to come in, and what is spoken there. It is static.
type plan struct {
	targets      map[string]*target
	headers      []template // of the handshake, each a line
	host         template   // the Host header that takes the place of the target's; empty: none does
	subprotocols []string
	lines        []string // of Options.Data
	tls          *tls.Config
	froms        *sources
	script       *script // nil: messages are sent as they are
}

// plan makes it. An error says what makes no sense.
func (o *Options) plan() (p *plan, err error) {
	p = &plan{subprotocols: o.Subprotocols}
	if p.targets, err = o.targets(); err != nil {
		return nil, err
	}
	from, err := addresses(o.Sources)
	if err != nil {
		return nil, fmt.Errorf("source %w", err)
	}
	p.froms = newSources(from)
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
	case len(p.lines) > 0 && !o.usesLines(p):
		return errors.New("there is no {line} that --data is for")
	}
	return nil
}

// usesLines tells whether a template asks for a line of Options.Data.
func (o *Options) usesLines(p *plan) bool {
	all := append(slices.Clone(p.headers), p.host)
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
func (p *plan) readHeaders(lines []string) (err error) {
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
		case value == "":
			return fmt.Errorf("header %s has no value", name)
		case strings.EqualFold(name, "Host"):
			if p.host, err = parseTemplate(value, atHandshake, nil); err != nil {
				return fmt.Errorf("header %s: %w", name, err)
			}
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
		return nil, fmt.Errorf("%s is empty, or is no file: it is read more than once", name)
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

// sources are local addresses, by their family.
type sources struct{ all, v4, v6 []net.Addr }

func newSources(all []net.Addr) *sources {
	s := &sources{all: all}
	for _, a := range all {
		if t, ok := a.(*net.TCPAddr); ok && t.IP.To4() != nil {
			s.v4 = append(s.v4, a)
		} else {
			s.v6 = append(s.v6, a)
		}
	}
	return s
}

// source is the i-th local address, in turn, that addr, HOST:PORT, can be dialled from; nil where it may be any.
func (s *sources) source(i int, addr string) (net.Addr, error) {
	if len(s.all) == 0 {
		return nil, nil
	}
	fit := s.all // for a name
	host, _, _ := net.SplitHostPort(addr)
	if ip, err := netip.ParseAddr(host); err == nil {
		if fit = s.v6; ip.Unmap().Is4() {
			fit = s.v4
		}
	}
	if len(fit) == 0 {
		return nil, fmt.Errorf("%w: %s", errFamily, addr)
	}
	return fit[i%len(fit)], nil
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
	if e := r.Options.Envelope; e != nil && e.Ignore != "" {
		all = append(all, fmt.Sprintf("%d messages that arrived were ignored: they match /%s/", r.Audit.Ignored, e.Ignore))
	}
	return all
}
