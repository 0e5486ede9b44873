package codec

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrRefused is returned when a server answers an upgrade with a status other than 101. Its text
// names the status.
var ErrRefused = errors.New("codec: upgrade refused")

// ErrUnavailable is the ErrRefused of status 503: the server takes no more clients at present.
var ErrUnavailable = fmt.Errorf("%w for now", ErrRefused)

// DialOptions configure a client's request.
type DialOptions struct {
	Subprotocols []string
	Origin       string   // not sent when empty
	Headers      []string // further lines, "Name: value", sent as they are; without line breaks
	MaxMessage   int      // bytes. Defaults to DefaultMaxMessage.
	Deflate      *Deflate // offered unless nil
	Window       int      // with Deflate: the server_max_window_bits to ask for, 8 to 15; 0: none
}

// NewKey returns a random Sec-WebSocket-Key (RFC 6455 section 4.1).
func NewKey() string {
	var key [16]byte
	_, _ = rand.Read(key[:]) // never fails
	return base64.StdEncoding.EncodeToString(key[:])
}

// AppendUpgrade appends a client's request for a WebSocket (RFC 6455 section 4.1). host is the
// server's name, with the port where that is not the scheme's default (RFC 9110 section 7.2).
// target is the path and query. Both are sent as they are.
func AppendUpgrade(dst []byte, host, target, key string, o *DialOptions) []byte {
	dst = fmt.Appendf(dst, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n",
		target, host, key)
	if o.Origin != "" {
		dst = append(dst, "Origin: "+o.Origin+"\r\n"...)
	}
	for _, line := range o.Headers {
		dst = append(append(dst, line...), "\r\n"...)
	}
	if len(o.Subprotocols) > 0 {
		dst = append(dst, "Sec-WebSocket-Protocol: "+strings.Join(o.Subprotocols, ", ")+"\r\n"...)
	}
	if o.Deflate != nil {
		dst = append(dst, "Sec-WebSocket-Extensions: "+deflateOffer...)
		if o.Window > 0 {
			dst = fmt.Appendf(dst, "; server_max_window_bits=%d", o.Window)
		}
		dst = append(dst, "\r\n"...)
	}
	return append(dst, "\r\n"...)
}

// ReadResponse reads a server's answer to a request with the given key from the front of in (RFC
// 6455 section 4.1). n is the number of bytes read, 0 when more are needed.
func ReadResponse(in []byte, key string, o *DialOptions) (ws *WebSocket, n int, err error) {
	end := bytes.Index(in[:min(len(in), maxHead)], []byte("\r\n\r\n"))
	if end < 0 {
		if len(in) >= maxHead {
			return nil, 0, ErrHeadTooBig
		}
		return nil, 0, nil
	}
	line, headers, _ := strings.Cut(string(in[:end]), "\r\n")
	if proto, status, _ := strings.Cut(line, " "); proto != "HTTP/1.1" ||
		status != "101" && !strings.HasPrefix(status, "101 ") {
		if strings.HasPrefix(status+" ", "503 ") {
			return nil, 0, fmt.Errorf("%w: %q", ErrUnavailable, line)
		}
		return nil, 0, fmt.Errorf("%w: %q", ErrRefused, line)
	}
	var r Request
	if r.headers, err = readHeaders(headers); err != nil {
		return nil, 0, err
	}
	ws = &WebSocket{max: limit32(o.MaxMessage), client: true}
	if err := ws.agree(&r, key, o); err != nil {
		return nil, 0, err
	}
	return ws, end + 4, nil
}

// agree checks the server's choice of subprotocol and extensions.
func (w *WebSocket) agree(r *Request, key string, o *DialOptions) error {
	if !r.IsUpgrade() || !r.hasToken("Connection", "Upgrade") || r.count("Sec-WebSocket-Accept") != 1 ||
		r.Header("Sec-WebSocket-Accept") != acceptKey(key) {
		return fmt.Errorf("%w: the response does not match the request", ErrBadRequest)
	}
	p := r.Header("Sec-WebSocket-Protocol")
	if r.count("Sec-WebSocket-Protocol") > 1 || p != "" && !slices.Contains(o.Subprotocols, p) {
		return fmt.Errorf("%w: subprotocol %q was not offered", ErrBadRequest, p)
	}
	if p != "" {
		w.protocol = &p
	}
	granted, ok := readExtensions(r.list("Sec-WebSocket-Extensions"))
	if !ok || len(granted) > 1 || len(granted) == 1 && (o.Deflate == nil || !granted[0].agreed()) {
		return fmt.Errorf("%w: the response has extensions that were not offered", ErrBadRequest)
	}
	if len(granted) == 1 {
		w.deflate, w.window = o.Deflate, maxWindow
	}
	return nil
}
