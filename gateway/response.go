package gateway

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/valyala/bytebufferpool"
)

// response is an http.ResponseWriter that keeps the whole answer.
type response struct {
	header http.Header
	status int // 0: not known yet
	body   *bytebufferpool.ByteBuffer
	full   bool // more than maxPage was written
	failed bool // it is not the handler's
}

func (w *response) Header() http.Header { return w.header }

// WriteHeader takes the first final status. An informational one (1xx) comes before that, and says nothing that the answer, which goes out as a whole, would not.
func (w *response) WriteHeader(status int) {
	switch {
	case status < 100 || status > 999:
		panic(fmt.Sprintf("gateway: a page's status is %d", status)) // as net/http does
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

// writeTo writes the response to a request of the method as it goes over the wire.
func (w *response) writeTo(b *bytebufferpool.ByteBuffer, method string) {
	w.WriteHeader(http.StatusOK)
	w.setLength(method)
	w.header.Del("Transfer-Encoding") // the body goes as it is
	w.header.Set("Connection", "close")
	_, _ = fmt.Fprintf(b, "HTTP/1.1 %d %s\r\n", w.status, http.StatusText(w.status))
	_ = w.header.Write(b) // a buffer takes all
	b.B = append(b.B, "\r\n"...)
	if method != http.MethodHead {
		b.B = append(b.B, w.body.B...)
	}
}

// setLength sets the Content-Length (RFC 9110 section 8.6): that of the body, where there is one. With HEAD and status 304 it would be that of the answer to GET, which only the
// handler knows when it has written nothing. With 204 there is none.
func (w *response) setLength(method string) {
	switch {
	case w.status == http.StatusNoContent:
		w.header.Del("Content-Length")
	case w.status == http.StatusNotModified || method == http.MethodHead && w.body.Len() == 0:
	default:
		w.header.Set("Content-Length", strconv.Itoa(w.body.Len()))
	}
}
