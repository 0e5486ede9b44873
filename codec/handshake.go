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

// UpgradeOptions say which upgrades a server grants.
type UpgradeOptions struct {
	// Origins are the hosts, besides the one that was asked, whose pages may connect: host, host:port, or with a scheme before it, and a slash behind it or none. "*.example.org"
	// is any host below example.org; "*" is everyone, and lets any page in the user's browser act with the user's cookies.
	Origins []string
	// Hosts are the names by which the server is asked, as Origins; with loopback names, which always are. A page of the host that was asked may connect only if that is one of
	// them. Empty: it may whatever the name, unless Loopback.
	Hosts []string
	// Loopback says that the server listens on a loopback address: it goes by loopback names, Hosts and Origins alone.
	Loopback bool
	// Subprotocols are those spoken, best first: the first of them that the client names is agreed to, in whatever order the client names them (RFC 6455 section 4.2.2). Where
	// there is none in common the WebSocket is opened without one, and the client decides whether it goes on.
	Subprotocols []string
	// MaxMessage is the largest message taken, in bytes. Defaults to DefaultMaxMessage.
	MaxMessage int
	// Deflate offers permessage-deflate. Nil: none.
	Deflate *Deflate
	// ClientTakeover lets clients compress with context takeover (RFC 7692 section 7.1.1.2): the last WindowSize bytes that a client has sent compressed are kept for it. Without
	// it, or of a client that offers client_no_context_takeover, nothing is kept, and each message has to be compressed by itself.
	ClientTakeover bool
}

// acceptGUID is what the key of a handshake is hashed with (RFC 6455 section 1.3).
const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// Upgrade answers a request for a WebSocket (RFC 6455 section 4.2). response goes to the client in any case; with an error it is a refusal.
func Upgrade(r *Request, o *UpgradeOptions) (ws *WebSocket, response []byte, err error) {
	if err := checkUpgrade(r, o); err != nil {
		return nil, Refusal(err), err
	}
	b := make([]byte, 0, 144) // enough where neither subprotocol nor extension is agreed on
	b = append(b, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "...)
	b = append(b, acceptKey(r.Header("Sec-WebSocket-Key"))...)
	b = append(b, "\r\n"...)
	ws = &WebSocket{max: limit32(o.MaxMessage), protocol: chooseSubprotocol(r, o.Subprotocols)}
	if p := ws.Subprotocol(); p != "" {
		b = append(b, "Sec-WebSocket-Protocol: "+p+"\r\n"...)
	}
	offers, ok := readExtensions(r.list("Sec-WebSocket-Extensions"))
	if !ok {
		err := fmt.Errorf("%w: Sec-WebSocket-Extensions", ErrBadRequest)
		return nil, Refusal(err), err
	}
	if o.Deflate != nil {
		b = append(b, ws.acceptDeflate(offers, o)...)
	}
	return ws, append(b, "\r\n"...), nil
}

// acceptDeflate takes the first offer that can be honoured and returns the header that says so.
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
		return fmt.Errorf("%w: Upgrade and Connection do not ask for a WebSocket", ErrBadRequest)
	case r.old:
		return fmt.Errorf("%w: HTTP/1.0 has no upgrades", ErrBadRequest)
	case r.Header("Sec-WebSocket-Version") != "13" || r.count("Sec-WebSocket-Version") != 1:
		return ErrUpgradeVersion
	case err != nil || len(raw) != 16 || r.count("Sec-WebSocket-Key") != 1:
		return fmt.Errorf("%w: Sec-WebSocket-Key", ErrBadRequest)
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

// chooseSubprotocol is the best of ours that the client names; nil: none.
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

// Refusal is the response to a request that ReadRequest or Upgrade refused: its body says what is wrong. The connection ends with it.
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

// maxWhy bounds what a response's body says, in bytes: a stranger's words may be in it.
const maxWhy = 1 << 10

// Status is a short response with the HTTP status given, whose body says why as well; empty: it says no more than the status. The connection ends with it.
func Status(code int, why string) []byte {
	text := http.StatusText(code)
	body, more := text+"\n", ""
	if why != "" {
		body = strings.ToValidUTF8(text+": "+why[:min(len(why), maxWhy)], "\uFFFD") + "\n"
	}
	switch code {
	case http.StatusUpgradeRequired:
		more = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
	case http.StatusMethodNotAllowed:
		more = "Allow: GET, HEAD\r\n"
	}
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\n%sContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		code, text, more, len(body), body)
}
