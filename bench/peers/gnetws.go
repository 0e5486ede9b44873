package main

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"

	"github.com/panjf2000/gnet/v2"
)

// wsEcho is the least of WebSocket (RFC 6455) that an echo needs, on gnet, with one write for
// all the frames of one read: the cost of the protocol. It has no fragments and no limits,
// and is not a server for production.
type wsEcho struct{ *gnetSite }

func serveGnetWS(ctx context.Context, s site) error {
	g := &gnetSite{site: s}
	return g.run(ctx, &wsEcho{g})
}

// upgraded is the context of a connection after its handshake: the output buffer.
type upgraded struct{ out []byte }

var errFrame = errors.New("not a masked frame of this echo")

// OnTraffic implements gnet.EventHandler.
func (*wsEcho) OnTraffic(c gnet.Conn) gnet.Action {
	in, err := c.Peek(-1)
	if err != nil {
		return gnet.Close
	}
	u, ok := c.Context().(*upgraded)
	taken := 0
	if !ok {
		end := bytes.Index(in, []byte("\r\n\r\n"))
		if end < 0 {
			return gnet.None
		}
		u = &upgraded{out: appendUpgrade(nil, in[:end])}
		c.SetContext(u)
		taken = end + 4
	}
	for {
		var n int
		if u.out, n, err = echoFrame(u.out, in[taken:]); err != nil {
			return gnet.Close
		}
		if n == 0 {
			break
		}
		taken += n
	}
	if len(u.out) > 0 {
		_, err = c.Write(u.out)
		u.out = u.out[:0]
	}
	if _, derr := c.Discard(taken); errors.Join(err, derr) != nil {
		return gnet.Close
	}
	return gnet.None
}

func appendUpgrade(dst, request []byte) []byte {
	const name, guid = "sec-websocket-key:", "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
	var key []byte
	for line := range bytes.Lines(request) {
		if len(line) > len(name) && bytes.EqualFold(line[:len(name)], []byte(name)) {
			key = bytes.TrimSpace(line[len(name):])
		}
	}
	sum := sha1.Sum(append(bytes.Clone(key), guid...))
	dst = append(dst, "HTTP/1.1 101 Switching Protocols\r\n"...)
	dst = append(dst, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	dst = base64.StdEncoding.AppendEncode(dst, sum[:])
	return append(dst, "\r\n\r\n"...)
}

// echoFrame appends the first frame of in, unmasked, and returns its length; 0 if it is incomplete.
func echoFrame(dst, in []byte) ([]byte, int, error) {
	if len(in) < 2 {
		return dst, 0, nil
	}
	size, head := uint64(in[1]&0x7f), 2
	switch {
	case in[1]&0x80 == 0:
		return dst, 0, errFrame
	case size == 126:
		if head = 4; len(in) >= head {
			size = uint64(binary.BigEndian.Uint16(in[2:]))
		}
	case size == 127:
		if head = 10; len(in) >= head {
			size = binary.BigEndian.Uint64(in[2:])
		}
	}
	total := uint64(head) + 4 + size
	if uint64(len(in)) < uint64(head)+4 || uint64(len(in)) < total {
		return dst, 0, nil
	}
	dst = append(append(dst, in[0], in[1]&0x7f), in[2:head]...)
	at := len(dst)
	dst = append(dst, in[head+4:total]...)
	unmask(dst[at:], in[head:head+4])
	return dst, int(total), nil
}

func unmask(p, key []byte) {
	k := uint64(binary.LittleEndian.Uint32(key))
	k |= k << 32
	for ; len(p) >= 8; p = p[8:] {
		binary.LittleEndian.PutUint64(p, binary.LittleEndian.Uint64(p)^k)
	}
	for i := range p {
		p[i] ^= key[i&3]
	}
}
