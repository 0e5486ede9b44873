package gateway

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/valyala/bytebufferpool"
)

// response is an http.ResponseWriter that buffers the whole response.
type response struct {
	header http.Header
	status int // 0: not set
	body   *bytebufferpool.ByteBuffer
	full   bool // the handler has written more than maxPage
	failed bool // the handler failed: the response is the gateway's
}

func (w *response) Header() http.Header { return w.header }

// WriteHeader sets the status. Informational ones (1xx) are ignored: the response is sent as a
// whole, so they are of no use. Only the first final one counts.
func (w *response) WriteHeader(status int) {
	switch {
	case status < 100 || status > 999:
		panic(fmt.Sprintf("gateway: a page's status is %d", status)) // as in net/http
	case status >= 200 && w.status == 0:
		w.status = status
	}
}

func (w *response) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if !hasBody(w.status) {
		return 0, http.ErrBodyNotAllowed
	}
	if w.body.Len()+len(b) > maxPage {
		w.full = true
		return 0, http.ErrContentLength
	}
	return w.body.Write(b)
}

// hasBody reports whether a response with the status has a body (RFC 9110 section 6.4.1).
func hasBody(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// writeTo appends the response to a request with the method, in wire format.
func (w *response) writeTo(b *bytebufferpool.ByteBuffer, method string) {
	w.WriteHeader(http.StatusOK)
	w.setLength(method)
	w.header.Del("Transfer-Encoding") // the body is sent unchanged
	w.header.Set("Connection", "close")
	_, _ = fmt.Fprintf(b, "HTTP/1.1 %d %s\r\n", w.status, http.StatusText(w.status))
	_ = w.header.Write(b) // a buffer does not fail
	b.B = append(b.B, "\r\n"...)
	if method != http.MethodHead {
		b.B = append(b.B, w.body.B...)
	}
}

// setLength sets Content-Length to the length of the body (RFC 9110 section 8.6). With HEAD or
// status 304 it would be that of the response to GET; if the handler has written nothing, only the
// handler knows it. With 204 there is none.
func (w *response) setLength(method string) {
	switch {
	case w.status == http.StatusNoContent:
		w.header.Del("Content-Length")
	case w.status == http.StatusNotModified || method == http.MethodHead && w.body.Len() == 0:
	default:
		w.header.Set("Content-Length", strconv.Itoa(w.body.Len()))
	}
}
