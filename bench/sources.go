package bench

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// sources are local addresses to dial from, in turn.
type sources struct{ all, v4, v6 []net.Addr }

// maxSources bounds the local addresses of a run.
const maxSources = 1 << 16

// parseSources parses Options.Sources: IP addresses, ranges FIRST-LAST, and prefixes.
func parseSources(list []string) (*sources, error) {
	s := new(sources)
	for _, text := range list {
		first, contains, err := addressRange(text)
		if err != nil {
			return nil, fmt.Errorf("source %q is not an address, range of addresses or prefix", text)
		}
		for ip := first; contains(ip); ip = ip.Next() {
			if len(s.all) == maxSources {
				return nil, fmt.Errorf("source %q: more than %d addresses", text, maxSources)
			}
			s.add(ip)
		}
	}
	return s, nil
}

func (s *sources) add(ip netip.Addr) {
	addr := net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, 0))
	s.all = append(s.all, addr)
	if ip.Unmap().Is4() {
		s.v4 = append(s.v4, addr)
	} else {
		s.v6 = append(s.v6, addr)
	}
}

// addressRange returns the first address, and reports for those that
// follow whether they belong to it.
func addressRange(s string) (first netip.Addr, contains func(netip.Addr) bool, err error) {
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
		err = errors.New("not a range")
	}
	contains = func(ip netip.Addr) bool { return ip.IsValid() && !last.Less(ip) } // no valid address follows the last
	return first, contains, cmp.Or(err, err2)
}

// pick returns the local address of connection i to addr, HOST:PORT: one
// of the same family. Nil means any.
func (s *sources) pick(i int, addr string) (net.Addr, error) {
	if len(s.all) == 0 {
		return nil, nil
	}
	fit := s.all // for a name
	if ip := ipOf(addr); ip.Is4() {
		fit = s.v4
	} else if ip.IsValid() {
		fit = s.v6
	}
	if len(fit) == 0 {
		return nil, fmt.Errorf("%w: %s", errFamily, addr)
	}
	return fit[i%len(fit)], nil
}
