package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/stats/alert"
	"github.com/seed-7410fe32/sluice/internal/stats/keep"
)

// problem is an error that the client gets as application/problem+json (RFC 9457).
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
}

func (p *problem) Error() string { return p.Detail }

// refuse returns a problem with a status and a detail.
func refuse(status int, format string, args ...any) *problem {
	return &problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: fmt.Sprintf(format, args...),
	}
}

// problemOf returns the problem for an error of a handler.
func problemOf(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, gateway.ErrNoClient):
		status = http.StatusNotFound
	case errors.Is(err, gateway.ErrTarget), errors.Is(err, keep.ErrStep), errors.Is(err, keep.ErrCursor):
		status = http.StatusBadRequest
	case errors.Is(err, alert.ErrInvalid), errors.Is(err, alert.ErrTooMany):
		status = http.StatusBadRequest
	case errors.Is(err, alert.ErrNone):
		status = http.StatusNotFound
	case errors.Is(err, alert.ErrFromFile):
		status = http.StatusConflict
	case errors.Is(err, gateway.ErrNotRunning):
		status = http.StatusServiceUnavailable
	case errors.Is(err, context.DeadlineExceeded):
		status = http.StatusGatewayTimeout
	}
	return refuse(status, "%s", strings.TrimPrefix(err.Error(), "alert: "))
}

// fail writes an error.
func fail(w http.ResponseWriter, err error) {
	p := problemOf(err)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p)
}

// answer writes a value as JSON.
func answer(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}

// maxBody is the size of the largest request body, in bytes: a message of 1 MiB in base64, and its
// target.
const maxBody = 1<<20*4/3 + 4<<10

// read decodes the JSON body of a request. Unknown fields are refused.
func read(w http.ResponseWriter, r *http.Request, into any) error {
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	return decode(body, into)
}

// readBody reads the JSON body of a request.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, refuse(http.StatusUnsupportedMediaType, "Content-Type must be application/json")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return nil, refuse(http.StatusRequestEntityTooLarge, "the body has more than %d bytes", maxBody)
	}
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "the body cannot be read: %v", err)
	}
	return body, nil
}

// decode decodes a body that is one JSON value. Unknown fields are refused.
func decode(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return refuse(http.StatusBadRequest, "the body is not valid: %v", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return refuse(http.StatusBadRequest, "the body has more than one JSON value")
	}
	return nil
}

// plainErrors passes requests to a mux and replaces its own answers, 404 and 405 as plain text, by
// problems.
func plainErrors(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		note := &statusOnly{header: make(http.Header)}
		h.ServeHTTP(note, r)
		if allow := note.header.Get("Allow"); allow != "" {
			w.Header().Set("Allow", allow)
			fail(w, refuse(http.StatusMethodNotAllowed, "%s is not allowed here: %s", r.Method, allow))
			return
		}
		fail(w, refuse(http.StatusNotFound, "there is no %s", r.URL.Path))
	})
}

// statusOnly is a response that is not sent.
type statusOnly struct{ header http.Header }

func (s *statusOnly) Header() http.Header         { return s.header }
func (s *statusOnly) Write(b []byte) (int, error) { return len(b), nil }
func (s *statusOnly) WriteHeader(int)             {}
