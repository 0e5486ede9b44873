package proxyproto

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// v2 is a header of version 2.
func v2(command, family byte, body string) string {
	size := binary.BigEndian.AppendUint16(nil, uint16(len(body)))
	return signature + string([]byte{command, family}) + string(size) + body
}

func tlv(kind byte, value string) string {
	return string([]byte{kind}) + string(binary.BigEndian.AppendUint16(nil, uint16(len(value)))) + value
}

// summed is a header of version 2 whose body ends in the right checksum.
func summed(command, family byte, body string) string {
	h := []byte(v2(command, family, body+tlv(typeCRC32C, "\x00\x00\x00\x00")))
	binary.BigEndian.PutUint32(h[len(h)-4:], sum(h, len(h)-4))
	return string(h)
}

const (
	four = "\xcb\x00\x71\x09\x0a\x00\x00\x01\x30\x39\x01\xbb" // 203.0.113.9:12345 to 10.0.0.1:443
	six  = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x30\x39\x01\xbb"
	mapped = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xcb\x00\x71\x09" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x0a\x00\x00\x01\x30\x39\x01\xbb"
	client4 = "203.0.113.9:12345"
	client6 = "[2001:db8::7]:12345"
)

// valid are headers and the clients that they name.
var valid = map[string]struct{ header, client string }{
	"v1 TCP4":              {"PROXY TCP4 203.0.113.9 10.0.0.1 12345 443\r\n", client4},
	"v1 TCP6":              {"PROXY TCP6 2001:db8::7 2001:db8::1 12345 443\r\n", client6},
	"v1 mapped":            {"PROXY TCP6 ::ffff:203.0.113.9 ::1 12345 443\r\n", client4},
	"v1 port 0":            {"PROXY TCP4 203.0.113.9 10.0.0.1 0 65535\r\n", "203.0.113.9:0"},
	"v1 UNKNOWN":           {"PROXY UNKNOWN\r\n", ""},
	"v1 UNKNOWN with text": {"PROXY UNKNOWN " + strings.Repeat("f", maxV1-len("PROXY UNKNOWN \r\n")) + "\r\n", ""},
	"v2 IPv4":              {v2(proxied, 0x11, four), client4},
	"v2 IPv6":              {v2(proxied, 0x21, six), client6},
	"v2 mapped":            {v2(proxied, 0x21, mapped), client4},
	"v2 UNIX":              {v2(proxied, 0x31, strings.Repeat("/", 216)), ""},
	"v2 UNSPEC":            {v2(proxied, 0x00, ""), ""},
	"v2 UNSPEC with TLV":   {v2(proxied, 0x00, tlv(0x04, "noop")), ""},
	"v2 datagram":          {v2(proxied, 0x12, four), ""},
	"v2 LOCAL":             {v2(local, 0x00, ""), ""},
	"v2 LOCAL with bytes":  {v2(local, 0x11, "ignored"), ""},
	"v2 TLVs":              {v2(proxied, 0x11, four+tlv(0x01, "h2")+tlv(0x02, "chat.example")+tlv(0x20, "")), client4},
	"v2 checksum":          {summed(proxied, 0x11, four), client4},
	"v2 checksum, TLV":     {summed(proxied, 0x21, six+tlv(0x05, "id")), client6},
	"v2 largest": {v2(proxied, 0x11, four+tlv(0xEE, strings.Repeat("x", MaxHeader-fixedV2-len(four)-3))),
		client4},
}

// A header is read whatever is behind it and wherever it is split.
func TestRead(t *testing.T) {
	t.Parallel()
	for name, c := range valid {
		want := netip.AddrPort{}
		if c.client != "" {
			want = netip.MustParseAddrPort(c.client)
		}
		for _, more := range []string{"", "x", c.header} {
			if client, n, err := Read([]byte(c.header + more)); client != want || n != len(c.header) || err != nil {
				t.Errorf("%s: %v, %d, %v; want %v, %d", name, client, n, err, want, len(c.header))
			}
		}
		for i := range len(c.header) {
			if _, n, err := Read([]byte(c.header[:i])); n != 0 || err != nil {
				t.Errorf("%s: the first %d bytes: %d, %v", name, i, n, err)
			}
		}
	}
}

func TestInvalid(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]string{
		"v1 family":          "PROXY TCP5 203.0.113.9 10.0.0.1 1 2\r\n",
		"v1 lower case":      "PROXY tcp4 203.0.113.9 10.0.0.1 1 2\r\n",
		"v1 UNKNOWN glued":   "PROXY UNKNOWNS\r\n",
		"v1 empty":           "PROXY \r\n",
		"v1 no ports":        "PROXY TCP4 203.0.113.9 10.0.0.1\r\n",
		"v1 one more":        "PROXY TCP4 203.0.113.9 10.0.0.1 1 2 3\r\n",
		"v1 two spaces":      "PROXY TCP4  203.0.113.9 10.0.0.1 1 2\r\n",
		"v1 IPv6 in TCP4":    "PROXY TCP4 ::1 ::1 1 2\r\n",
		"v1 IPv4 in TCP6":    "PROXY TCP6 203.0.113.9 10.0.0.1 1 2\r\n",
		"v1 zone":            "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
		"v1 leading zero":    "PROXY TCP4 203.0.113.09 10.0.0.1 1 2\r\n",
		"v1 port":            "PROXY TCP4 203.0.113.9 10.0.0.1 65536 2\r\n",
		"v1 port with zero":  "PROXY TCP4 203.0.113.9 10.0.0.1 01 2\r\n",
		"v1 port with sign":  "PROXY TCP4 203.0.113.9 10.0.0.1 +1 2\r\n",
		"v1 destination":     "PROXY TCP4 203.0.113.9 nowhere 1 2\r\n",
		"v1 bare newline":    "PROXY TCP4 203.0.113.9 10.0.0.1 1 2\n" + strings.Repeat("x", maxV1),
		"v1 too long":        "PROXY UNKNOWN " + strings.Repeat("f", maxV1),
		"v1 one too long":    "PROXY UNKNOWN " + strings.Repeat("f", maxV1-len("PROXY UNKNOWN \r\n")+1) + "\r\n",
		"v2 version":         v2(0x11, 0x11, four),
		"v2 command":         v2(0x22, 0x11, four),
		"v2 family":          v2(proxied, 0x41, four),
		"v2 transport":       v2(proxied, 0x13, four),
		"v2 short IPv4":      v2(proxied, 0x11, four[1:]),
		"v2 short IPv6":      v2(proxied, 0x21, six[1:]),
		"v2 short UNIX":      v2(proxied, 0x31, strings.Repeat("/", 215)),
		"v2 too large":       v2(proxied, 0x11, four+tlv(0xEE, strings.Repeat("x", MaxHeader-fixedV2-len(four)-2))),
		"v2 two bytes more":  v2(proxied, 0x11, four+"\x01\x00"),
		"v2 truncated TLV":   v2(proxied, 0x11, four+"\x01\x00\x02h"),
		"v2 checksum":        v2(proxied, 0x11, four+tlv(typeCRC32C, "\x00\x00\x00\x00")),
		"v2 short checksum":  v2(proxied, 0x11, four+tlv(typeCRC32C, "\x00\x00")),
		"v2 changed address": strings.Replace(summed(proxied, 0x11, four), "\xcb\x00\x71", "\xcb\x00\x72", 1),
	} {
		if client, n, err := Read([]byte(header)); !errors.Is(err, ErrInvalid) || n != 0 || client.IsValid() {
			t.Errorf("%s: %v, %d, %v", name, client, n, err)
		}
	}
	for _, none := range []string{"G", "GET / HTTP/1.1\r\n", "PROXIES ", "proxy ", "\r\n\r\nG", "\n",
		"\x00\x00\x00\x09hello", signature[:11] + "\r"} {
		if _, n, err := Read([]byte(none)); !errors.Is(err, ErrNone) || n != 0 {
			t.Errorf("%q: %d, %v", none, n, err)
		}
	}
}

// Whatever comes, the result for a part of it agrees with the result for all of it.
func FuzzRead(f *testing.F) {
	for _, c := range valid {
		f.Add([]byte(c.header + "GET / HTTP/1.1\r\n"))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		client, n, err := Read(in)
		if n < 0 || n > len(in) || n > MaxHeader || err != nil && (n != 0 || client.IsValid()) {
			t.Fatalf("%q: %v, %d, %v", in, client, n, err)
		}
		if err == nil && n == 0 && len(in) >= MaxHeader {
			t.Fatalf("%d bytes and still no end", len(in))
		}
		for i := range min(len(in), 300) {
			part, m, partErr := Read(in[:i])
			switch {
			case m > 0 && (m != n || part != client), errors.Is(partErr, ErrNone) && !errors.Is(err, ErrNone),
				errors.Is(partErr, ErrInvalid) && !errors.Is(err, ErrInvalid):
				t.Fatalf("%q: %v, %d, %v; its first %d bytes: %v, %d, %v", in, client, n, err, i, part, m, partErr)
			}
		}
	})
}
