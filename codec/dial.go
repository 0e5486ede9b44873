package codec

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
)

// DialOptions say what a client asks for.
type DialOptions struct {
	Subprotocols []string
	Origin       string   // empty: none is sent
	MaxMessage   int      // bytes. Defaults to DefaultMaxMessage.
	Deflate      *Deflate // offered; nil: none
}

// NewKey is a fresh Sec-WebSocket-Key (RFC 6455 section 4.1).
func NewKey() string {
	var key [16]byte
	_, _ = rand.Read(key[:]) // never fails
	return base64.StdEncoding.EncodeToString(key[:])
}

// AppendUpgrade appends a client's request for a WebSocket.
func AppendUpgrade(dst []byte, host, target, key string, o *DialOptions) []byte {
	dst = fmt.Appendf(dst, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n",
		target, host, key)
	if o.Origin != "" {
		dst = append(dst, "Origin: "+o.Origin+"\r\n"...)
	}
	if len(o.Subprotocols) > 0 {
		dst = append(dst, "Sec-WebSocket-Protocol: "+strings.Join(o.Subprotocols, ", ")+"\r\n"...)
	}
	if o.Deflate != nil {
		dst = append(dst, "Sec-WebSocket-Extensions: "+deflateOffer+"\r\n"...)
	}
	return append(dst, "\r\n"...)
}

// ReadResponse reads a server's answer to a request with the key given from the front of in (RFC 6455 section 4.1). n is 0 when more is needed.
func ReadResponse(in []byte, key string, o *DialOptions) (ws *WebSocket, n int, err error) {
	end := bytes.Index(in[:min(len(in), maxHead)], []byte("\r\n\r\n"))
	if end < 0 {
		if len(in) >= maxHead {
			return nil, 0, ErrHeadTooBig
		}
		return nil, 0, nil
	}
	lines := strings.Split(string(in[:end]), "\r\n")
	if !strings.HasPrefix(lines[0], "HTTP/1.1 101") {
		return nil, 0, fmt.Errorf("codec: upgrade refused: %s", lines[0])
	}
	var r Request
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		r.headers = append(r.headers, header{name, strings.Trim(value, " \t")})
	}
	ws = &WebSocket{max: limit(o.MaxMessage), client: true}
	if err := ws.agree(&r, key, o); err != nil {
		return nil, 0, err
	}
	return ws, end + 4, nil
}

// agree checks what the server has granted.
func (w *WebSocket) agree(r *Request, key string, o *DialOptions) error {
	if !r.IsUpgrade() || !r.hasToken("Connection", "Upgrade") || r.Header("Sec-WebSocket-Accept") != acceptKey(key) {
		return fmt.Errorf("%w: not an answer to our upgrade", ErrBadRequest)
	}
	if p := r.Header("Sec-WebSocket-Protocol"); p != "" && chooseSubprotocol(r, o.Subprotocols) != p {
		return fmt.Errorf("%w: subprotocol %q was not asked for", ErrBadRequest, p)
	}
	for extension := range r.tokens("Sec-WebSocket-Extensions") {
		if o.Deflate == nil || w.deflate != nil || !agreedDeflate(extension) {
			return fmt.Errorf("%w: extension %q", ErrBadRequest, extension)
		}
		w.deflate = o.Deflate
	}
	return nil
}
