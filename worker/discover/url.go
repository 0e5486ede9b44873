package discover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// The schemes of URLs.
const (
	schemeHost = "dns://"
	schemeSRV  = "dns+srv://"
)

// IsURL reports whether s is a URL for NewDNS, and not an address of a gateway. Whether it is valid
// is not checked.
func IsURL(s string) bool { return strings.HasPrefix(s, schemeHost) || strings.HasPrefix(s, schemeSRV) }

// source is a name that is looked up.
type source struct {
	url  string
	name string
	port string // of all its addresses; empty: SRV records have them
}

// parse returns the source of a URL.
func parse(url string) (source, error) {
	if name, ok := strings.CutPrefix(url, schemeSRV); ok {
		if name == "" || strings.ContainsAny(name, ":/ ") {
			return source{}, fmt.Errorf("%q: must be dns+srv://_SERVICE._PROTO.NAME, without a port", url)
		}
		return source{url: url, name: name}, nil
	}
	address, ok := strings.CutPrefix(url, schemeHost)
	name, port, err := net.SplitHostPort(address)
	if !ok || err != nil || name == "" || strings.ContainsAny(name, "/ ") {
		return source{}, fmt.Errorf("%q: must be dns://NAME:PORT or dns+srv://_SERVICE._PROTO.NAME", url)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return source{}, fmt.Errorf("%q: the port must be a number between 1 and 65535", url)
	}
	return source{url: url, name: name, port: port}, nil
}

var errNoRecords = errors.New("discover: the name has no such records")

// lookUp returns the addresses of the gateways, sorted. There is at least one.
func (s *source) lookUp(ctx context.Context, r *net.Resolver) (addrs []string, err error) {
	if s.port == "" {
		addrs, err = s.lookUpSRV(ctx, r)
	} else {
		addrs, err = s.lookUpHost(ctx, r)
	}
	if len(addrs) == 0 {
		if err == nil {
			err = errNoRecords
		}
		return nil, err
	}
	slices.Sort(addrs)
	return slices.Compact(addrs), nil
}

func (s *source) lookUpHost(ctx context.Context, r *net.Resolver) (addrs []string, err error) {
	ips, err := r.LookupNetIP(ctx, "ip", s.name)
	for _, ip := range ips {
		addrs = append(addrs, net.JoinHostPort(ip.Unmap().String(), s.port))
	}
	return addrs, err
}

// lookUpSRV returns the names of hosts. They are resolved when they are dialled, so that TLS can
// verify them. If some records are invalid the error says so, and the others are returned.
func (s *source) lookUpSRV(ctx context.Context, r *net.Resolver) (addrs []string, err error) {
	_, records, err := r.LookupSRV(ctx, "", "", s.name)
	for _, record := range records {
		host := strings.TrimSuffix(record.Target, ".")
		if ip, err := netip.ParseAddr(host); err == nil {
			host = ip.Unmap().String()
		}
		if host != "" && record.Port != 0 { // a target "." means that there is no service
			addrs = append(addrs, net.JoinHostPort(host, strconv.Itoa(int(record.Port))))
		}
	}
	return addrs, err
}
