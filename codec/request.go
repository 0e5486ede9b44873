package codec

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strings"
)

// Errors for an HTTP request that is refused. Refusal turns each of them into a response.
var (
	// ErrBadRequest is returned when a request head breaks the rules of HTTP (RFC 9112) or of the
	// upgrade (RFC 6455 section 4.2.1).
	ErrBadRequest = errors.New("codec: bad request")
	// ErrHeadTooBig is returned when a request head has more than 16 KiB.
	ErrHeadTooBig = errors.New("codec: request head too big")
	// ErrMethod is returned for methods other than GET and HEAD.
	ErrMethod = errors.New("codec: method not allowed")
	// ErrUpgradeVersion is returned when a client asks for another WebSocket version than 13.
	ErrUpgradeVersion = errors.New("codec: websocket version not supported")
	// ErrOrigin is returned when a page of a foreign origin asks for an upgrade.
	ErrOrigin = errors.New("codec: origin not allowed")
)

// maxHead bounds a request's head, in bytes.
const maxHead = 16 << 10

// Request is the head of an HTTP/1.1 request without a body.
type Request struct {
	Method string // GET or HEAD
	Target string // path and query, as sent; "/" when the client sent no path

	headers []header // bound: the head of an HTTP request
	old     bool     // HTTP/1.0
}

type header struct{ name, value string }

// ReadRequest reads a request head from the front of in. n is the number of bytes read, 0 when more
// are needed. The result does not refer to in. Empty lines before the head are skipped (RFC 9112
// section 2.2). It refuses what proxies and servers are known to read in two ways.
func ReadRequest(in []byte) (r *Request, n int, err error) {
	head := in[:min(len(in), maxHead)]
	for bytes.HasPrefix(head, []byte("\r\n")) {
		head = head[2:]
	}
	skipped := min(len(in), maxHead) - len(head)
	end := bytes.Index(head, []byte("\r\n\r\n"))
	if end < 0 {
		if len(in) >= maxHead {
			return nil, 0, ErrHeadTooBig
		}
		return nil, 0, checkStart(head)
	}
	line, headers, _ := strings.Cut(string(head[:end]), "\r\n")
	r = new(Request)
	host, err := r.requestLine(line)
	if err != nil {
		return nil, 0, err
	}
	if r.headers, err = readHeaders(headers); err != nil {
		return nil, 0, err
	}
	if err := r.check(); err != nil {
		return nil, 0, err
	}
	if host != "" {
		r.setHost(host)
	}
	return r, skipped + end + 4, nil
}

// readHeaders reads header lines. A folded line is refused, since its name is no token, and so is a
// value with a bare CR or LF.
func readHeaders(lines string) ([]header, error) {
	if lines == "" {
		return nil, nil
	}
	headers := make([]header, 0, 1+strings.Count(lines, "\r\n"))
	for line := range strings.SplitSeq(lines, "\r\n") {
		name, value, found := strings.Cut(line, ":")
		value = strings.Trim(value, " \t")
		if !found || !IsToken(name) || !isFieldValue(value) {
			return nil, fmt.Errorf("%w: invalid header line %q", ErrBadRequest, line)
		}
		headers = append(headers, header{name, value})
	}
	return headers, nil
}

// checkStart refuses early what can never become a request, so that such bytes are not kept.
func checkStart(in []byte) error {
	if string(in) == "\r" {
		return nil // of an empty line
	}
	for _, method := range []string{"GET ", "HEAD "} {
		if n := min(len(in), len(method)); string(in[:n]) == method[:n] {
			return nil
		}
	}
	method, _, _ := bytes.Cut(in, []byte(" "))
	if len(method) <= len("PROPPATCH") && IsToken(string(method)) && strings.ToUpper(string(method)) == string(method) {
		if len(method) == len(in) {
			return nil // not whole yet
		}
		return ErrMethod
	}
	return ErrBadRequest
}

// requestLine reads the first line. host is the host of a target in absolute form (RFC 9112 section
// 3.2.2), and empty for any other target.
func (r *Request) requestLine(line string) (host string, err error) {
	method, rest, _ := strings.Cut(line, " ")
	target, proto, _ := strings.Cut(rest, " ")
	switch {
	case !IsToken(method) || proto != "HTTP/1.1" && proto != "HTTP/1.0":
		return "", fmt.Errorf("%w: invalid request line", ErrBadRequest)
	case method != "GET" && method != "HEAD":
		return "", ErrMethod
	}
	target, host, ok := originForm(target)
	if !ok || !isVisible(target) {
		return "", fmt.Errorf("%w: invalid request target", ErrBadRequest)
	}
	r.Method, r.Target, r.old = method, target, proto == "HTTP/1.0"
	return host, nil
}

// originForm splits a target in absolute form into path with query, and host. A target that begins
// with a path stays as it is and has no host.
func originForm(target string) (path, host string, ok bool) {
	if strings.HasPrefix(target, "/") {
		return target, "", true
	}
	scheme, rest, _ := strings.Cut(target, "://")
	switch strings.ToLower(scheme) {
	case "http", "https", "ws", "wss":
	default:
		return "", "", false
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	if host = rest[:end]; host == "" || !isVisible(host) || strings.ContainsAny(host, `@"<>\^{|}`+"`") {
		return "", "", false // a user and password are not allowed here (RFC 9110 section 4.2.4)
	}
	switch path = rest[end:]; {
	case path == "":
		path = "/"
	case path[0] == '?':
		path = "/" + path
	case path[0] == '#':
		return "", "", false
	}
	return path, host, true
}

// setHost puts the host of an absolute target in place of the Host header, which must then be
// ignored (RFC 9112 section 3.2.2).
func (r *Request) setHost(host string) {
	for i, h := range r.headers {
		if strings.EqualFold(h.name, "Host") {
			r.headers[i].value = host
			return
		}
	}
	r.headers = append(r.headers, header{"Host", host})
}

// check refuses a head that could be read in two ways.
func (r *Request) check() error {
	hosts := 0
	for _, h := range r.headers {
		switch {
		case strings.EqualFold(h.name, "Host"):
			hosts++
		case strings.EqualFold(h.name, "Content-Length") && h.value != "0", strings.EqualFold(h.name, "Transfer-Encoding"):
			return fmt.Errorf("%w: the request has a body", ErrBadRequest)
		}
	}
	if hosts > 1 || hosts == 0 && !r.old { // load balancers probe with HTTP/1.0, which has no Host
		return fmt.Errorf("%w: %d Host headers, must be 1", ErrBadRequest, hosts)
	}
	return nil
}

// IsUpgrade reports whether the client asks for a WebSocket.
func (r *Request) IsUpgrade() bool { return r.hasToken("Upgrade", "websocket") }

// Path returns the target without its query.
func (r *Request) Path() string {
	path, _, _ := strings.Cut(r.Target, "?")
	return path
}

// Query returns the first value of a query parameter, or "" without one.
func (r *Request) Query(name string) string {
	_, query, _ := strings.Cut(r.Target, "?")
	values, _ := url.ParseQuery(query) // the part of it that can be read
	return values.Get(name)
}

// Header returns the first value of a header field, or "" without one. The case of name does not
// matter.
func (r *Request) Header(name string) string {
	for _, h := range r.headers {
		if strings.EqualFold(h.name, name) {
			return h.value
		}
	}
	return ""
}

// Headers iterates over the header fields. Names are as they were sent.
func (r *Request) Headers() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, h := range r.headers {
			if !yield(h.name, h.value) {
				return
			}
		}
	}
}

// Cookie returns the value of a cookie, or "" without one.
func (r *Request) Cookie(name string) string {
	for _, h := range r.headers {
		if !strings.EqualFold(h.name, "Cookie") {
			continue
		}
		for pair := range strings.SplitSeq(h.value, ";") {
			if k, v, _ := strings.Cut(strings.TrimSpace(pair), "="); k == name {
				return strings.Trim(v, `"`)
			}
		}
	}
	return ""
}

// hasToken reports whether a comma-separated header contains the token, in any case.
func (r *Request) hasToken(name, token string) bool {
	for t := range r.tokens(name) {
		if strings.EqualFold(t, token) {
			return true
		}
	}
	return false
}

// list returns all values of a header that is a list, as one list (RFC 9110 section 5.3).
func (r *Request) list(name string) (all string) {
	for _, h := range r.headers {
		if strings.EqualFold(h.name, name) {
			all += "," + h.value
		}
	}
	return all
}

// tokens iterates over the elements of all header fields of the name.
func (r *Request) tokens(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, h := range r.headers {
			if !strings.EqualFold(h.name, name) {
				continue
			}
			for t := range strings.SplitSeq(h.value, ",") {
				if t = strings.Trim(t, " \t"); t != "" && !yield(t) {
					return
				}
			}
		}
	}
}

// IsToken reports whether s is a token of RFC 9110 section 5.6.2.
func IsToken(s string) bool {
	for i := range len(s) {
		if !isTokenByte(s[i]) {
			return false
		}
	}
	return s != ""
}

func isTokenByte(c byte) bool {
	return c > ' ' && c < 0x7F && strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) < 0
}

// isFieldValue reports whether s has no control characters other than tabs.
func isFieldValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7F {
			return false
		}
	}
	return true
}

func isVisible(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7F {
			return false
		}
	}
	return true
}
