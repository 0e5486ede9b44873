// Package proxyproto reads the header of the PROXY protocol, by which a proxy says at the beginning
// of a connection where its client is. Sections are those of the specification of 2020/03/05,
// https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt.
package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"strconv"
	"strings"
)

var (
	// ErrNone is returned when the input does not begin with a header.
	ErrNone = errors.New("proxyproto: no header")
	// ErrInvalid is returned when the input begins as a header does, and breaks the specification.
	ErrInvalid = errors.New("proxyproto: invalid header")
)

const (
	prefixV1  = "PROXY "
	signature = "\r\n\r\n\x00\r\nQUIT\n" // of version 2
	maxV1     = 107                      // the longest line, with its end (section 2.1)
	fixedV2   = 16                       // the signature and four bytes
)

// MaxHeader is the size of the largest header that Read accepts, in bytes. The protocol allows 64
// KiB; the addresses have at most 216 bytes, and proxies add some hundred bytes about TLS.
const MaxHeader = 4096

// Read reads a header at the front of in. n is its size in bytes, 0 when more bytes are needed.
// client is the address of the proxy's client. It is zero if the header names none: the proxy
// speaks for itself, or its client did not come by TCP.
func Read(in []byte) (client netip.AddrPort, n int, err error) {
	switch {
	case begins(in, signature):
		if len(in) < fixedV2 {
			return client, 0, nil
		}
		return readV2(in)
	case begins(in, prefixV1):
		if len(in) < len(prefixV1) {
			return client, 0, nil
		}
		return readV1(in)
	}
	return client, 0, ErrNone
}

// begins reports whether in begins with the prefix, or may when more bytes have come.
func begins(in []byte, prefix string) bool {
	n := min(len(in), len(prefix))
	return string(in[:n]) == prefix[:n]
}

// readV1 reads a line (section 2.1).
func readV1(in []byte) (client netip.AddrPort, n int, err error) {
	end := bytes.Index(in[:min(len(in), maxV1)], []byte("\r\n"))
	switch {
	case end < 0 && len(in) >= maxV1:
		return client, 0, fmt.Errorf("%w: the line has more than %d bytes", ErrInvalid, maxV1)
	case end < 0:
		return client, 0, nil
	}
	line := string(in[len(prefixV1):end])
	if line == "UNKNOWN" || strings.HasPrefix(line, "UNKNOWN ") {
		return client, end + 2, nil
	}
	f := strings.Split(line, " ")
	if len(f) != 5 || f[0] != "TCP4" && f[0] != "TCP6" {
		return client, 0, fmt.Errorf("%w: not TCP4, TCP6 or UNKNOWN with addresses and ports", ErrInvalid)
	}
	six := f[0] == "TCP6"
	source, ok := addressV1(f[1], f[3], six)
	if _, destination := addressV1(f[2], f[4], six); !ok || !destination {
		return client, 0, fmt.Errorf("%w: not an address and port of %s", ErrInvalid, f[0])
	}
	return source, end + 2, nil
}

// addressV1 reads an address and a port. A port has no sign and no leading zero.
func addressV1(address, port string, six bool) (netip.AddrPort, bool) {
	a, err := netip.ParseAddr(address)
	if err != nil || a.Is6() != six || a.Zone() != "" {
		return netip.AddrPort{}, false
	}
	p, err := strconv.ParseUint(port, 10, 16)
	if err != nil || strconv.FormatUint(p, 10) != port {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(p)), true
}

// Values of the bytes 12 and 13 of a header (section 2.2).
const (
	local   = 0x20
	proxied = 0x21
	inet    = 0x1
	inet6   = 0x2
	unix    = 0x3
	stream  = 0x1
)

// readV2 reads a binary header (section 2.2). in has its fixed part.
func readV2(in []byte) (client netip.AddrPort, n int, err error) {
	command, family := in[12], in[13]>>4
	n = fixedV2 + int(binary.BigEndian.Uint16(in[14:]))
	switch {
	case command != local && command != proxied:
		return client, 0, fmt.Errorf("%w: version and command %#02x", ErrInvalid, command)
	case family > unix || in[13]&0xF > 2:
		return client, 0, fmt.Errorf("%w: family and transport %#02x", ErrInvalid, in[13])
	case n > MaxHeader:
		return client, 0, fmt.Errorf("%w: %d bytes: must be at most %d", ErrInvalid, n, MaxHeader)
	case len(in) < n:
		return client, 0, nil
	case command == local: // whatever the rest is
		return client, n, nil
	}
	body := in[fixedV2:n]
	size := map[byte]int{inet: 2 * (4 + 2), inet6: 2 * (16 + 2), unix: 2 * 108}[family]
	if len(body) < size {
		return client, 0, fmt.Errorf("%w: %d bytes of addresses: must be %d", ErrInvalid, len(body), size)
	}
	if err := checkTLVs(in[:n], fixedV2+size); err != nil {
		return client, 0, err
	}
	if in[13]&0xF != stream {
		return client, n, nil // a datagram's addresses do not belong to a connection
	}
	switch family {
	case inet:
		client = addressV2(body[:4], body[8:])
	case inet6:
		client = addressV2(body[:16], body[32:])
	}
	return client, n, nil
}

func addressV2(address, port []byte) netip.AddrPort {
	a, _ := netip.AddrFromSlice(address) // it has 4 or 16 bytes
	return netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(port))
}

// typeCRC32C is the type of a checksum over the whole header, which counts as 0 in it (section
// 2.2.3).
const typeCRC32C = 0x03

// checkTLVs checks the additional values of a header, which begin at an index. Their contents are
// skipped, except for a checksum.
func checkTLVs(header []byte, at int) error {
	for at < len(header) {
		if len(header)-at < 3 {
			return fmt.Errorf("%w: truncated value", ErrInvalid)
		}
		kind, value := header[at], at+3
		at = value + int(binary.BigEndian.Uint16(header[at+1:]))
		if at > len(header) {
			return fmt.Errorf("%w: a value of type %#02x ends after the header", ErrInvalid, kind)
		}
		if kind != typeCRC32C {
			continue
		}
		if at-value != crc32.Size || sum(header, value) != binary.BigEndian.Uint32(header[value:]) {
			return fmt.Errorf("%w: wrong checksum", ErrInvalid)
		}
	}
	return nil
}

// sum is the checksum of a header that has one at an index.
func sum(header []byte, at int) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	crc := crc32.Update(0, table, header[:at])
	crc = crc32.Update(crc, table, make([]byte, crc32.Size))
	return crc32.Update(crc, table, header[at+crc32.Size:])
}
