package codec

import (
	"cmp"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// UpgradeOptions configure the upgrades that a server grants.
type UpgradeOptions struct {
	// Origins are the hosts whose pages may connect, besides the host that was asked: host or
	// host:port, with or without a scheme in front and a slash at the end. "*.example.org" is any host
	// below example.org. "*" is every host: any page in the user's browser may then act with the
	// user's cookies.
	Origins []string
	// Hosts are the names of the server, in the form of Origins. Loopback names are always among them.
	// A page of the host that was asked may connect only if that host is one of these names. When
	// Hosts is empty, it may connect under any name, unless Loopback is set.
	Hosts []string
	// Loopback says that the server listens on a loopback address. Its only names are loopback names,
	// Hosts and Origins.
	Loopback bool
	// Subprotocols are the supported subprotocols, best first. The first of them that the client names
	// is agreed on, whatever the client's order (RFC 6455 section 4.2.2). Without a common one the
	// WebSocket opens without a subprotocol, and the client decides whether to go on.
	Subprotocols []string
	// MaxMessage is the size of the largest message accepted, in bytes. Defaults to DefaultMaxMessage.
	MaxMessage int
	// Deflate enables permessage-deflate. Nil disables it.
	Deflate *Deflate
	// ClientTakeover lets clients compress with context takeover (RFC 7692 section 7.1.1.2). The last
	// WindowSize bytes of what a client sent compressed are then kept for it. Without it, or for a
	// client that offers client_no_context_takeover, nothing is kept and each message is compressed by
	// itself.
	ClientTakeover bool
}

// acceptGUID is hashed together with the key of a handshake (RFC 6455 section 1.3).
const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// Upgrade answers a request for a WebSocket (RFC 6455 section 4.2). response must be sent to the
// client in any case; with an error it is a refusal.
func Upgrade(r *Request, o *UpgradeOptions) (ws *WebSocket, response []byte, err error) {
	if err := checkUpgrade(r, o); err != nil {
		return nil, Refusal(err), err
	}
	b := make([]byte, 0, 144) // enough where neither subprotocol nor extension is agreed on
	b = append(b,
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	b = append(b, acceptKey(r.Header("Sec-WebSocket-Key"))...)
	b = append(b, "\r\n"...)
	ws = &WebSocket{max: limit32(o.MaxMessage), protocol: chooseSubprotocol(r, o.Subprotocols)}
	if p := ws.Subprotocol(); p != "" {
		b = append(b, "Sec-WebSocket-Protocol: "+p+"\r\n"...)
	}
	offers, ok := readExtensions(r.list("Sec-WebSocket-Extensions"))
	if !ok {
		err := fmt.Errorf("%w: invalid Sec-WebSocket-Extensions header", ErrBadRequest)
		return nil, Refusal(err), err
	}
	if o.Deflate != nil {
		b = append(b, ws.acceptDeflate(offers, o)...)
	}
	return ws, append(b, "\r\n"...), nil
}

// acceptDeflate accepts the first offer that the server can honour, and returns the header that
// says so.
func (w *WebSocket) acceptDeflate(offers []extension, o *UpgradeOptions) string {
	for _, offer := range offers {
		window, ok := offer.accept()
		if !ok {
			continue
		}
		w.deflate, w.window = o.Deflate, cmp.Or(window, maxWindow)
		answer := "Sec-WebSocket-Extensions: " + deflateOffer
		if o.ClientTakeover && !named(offer.params, "client_no_context_takeover") {
			w.past = new(history)
			answer = "Sec-WebSocket-Extensions: " + deflateTakeover
		}
		if window != 0 {
			answer += "; server_max_window_bits=" + strconv.Itoa(int(window))
		}
		return answer + "\r\n"
	}
	return ""
}

func checkUpgrade(r *Request, o *UpgradeOptions) error {
	key := r.Header("Sec-WebSocket-Key")
	raw, err := base64.StdEncoding.Strict().DecodeString(key)
	switch {
	case r.Method != http.MethodGet:
		return ErrMethod
	case !r.IsUpgrade() || !r.hasToken("Connection", "Upgrade"):
		return fmt.Errorf("%w: the Upgrade and Connection headers do not request a WebSocket", ErrBadRequest)
	case r.old:
		return fmt.Errorf("%w: HTTP/1.0 does not support upgrades", ErrBadRequest)
	case r.Header("Sec-WebSocket-Version") != "13" || r.count("Sec-WebSocket-Version") != 1:
		return ErrUpgradeVersion
	case err != nil || len(raw) != 16 || r.count("Sec-WebSocket-Key") != 1:
		return fmt.Errorf("%w: invalid Sec-WebSocket-Key header", ErrBadRequest)
	}
	return checkOrigin(r, o)
}

func (r *Request) count(name string) (n int) {
	for _, h := range r.headers {
		if strings.EqualFold(h.name, name) {
			n++
		}
	}
	return n
}

// chooseSubprotocol returns the best of our subprotocols that the client names, nil without one.
func chooseSubprotocol(r *Request, ours []string) *string {
	for i, p := range ours {
		for t := range r.tokens("Sec-WebSocket-Protocol") {
			if t == p {
				return &ours[i]
			}
		}
	}
	return nil
}

func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + acceptGUID))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// Refusal returns the response to a request that ReadRequest or Upgrade refused. Its body gives the
// reason. The connection ends after it.
func Refusal(err error) []byte {
	why := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "codec: "), "bad request: ")
	switch {
	case errors.Is(err, ErrHeadTooBig):
		return Status(http.StatusRequestHeaderFieldsTooLarge, why)
	case errors.Is(err, ErrMethod):
		return Status(http.StatusMethodNotAllowed, why)
	case errors.Is(err, ErrUpgradeVersion):
		return Status(http.StatusUpgradeRequired, why)
	case errors.Is(err, ErrOrigin):
		return Status(http.StatusForbidden, why)
	}
	return Status(http.StatusBadRequest, why)
}

// maxWhy bounds the reason in a response's body, in bytes, since it may quote the client.
const maxWhy = 1 << 10

// Status returns a short response with the given HTTP status. Its body gives the reason, unless why
// is empty. The connection ends after it.
func Status(code int, why string) []byte {
	text := http.StatusText(code)
	body, more := text+"\n", ""
	if why != "" {
		body = strings.ToValidUTF8(why[:min(len(why), maxWhy)], "\uFFFD") + "\n"
		if text != "" { // a status that net/http knows
			body = text + ": " + body
		}
	}
	switch code {
	case http.StatusUpgradeRequired:
		more = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
	case http.StatusUnauthorized: // RFC 6750 section 3
		more = "WWW-Authenticate: Bearer\r\n"
	case http.StatusMethodNotAllowed:
		more = "Allow: GET, HEAD\r\n"
	}
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\n%sContent-Type: text/plain; charset=utf-8\r\n"+
		"X-Content-Type-Options: nosniff\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		code, text, more, len(body), body)
}
