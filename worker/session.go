package worker

import (
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/seed-7410fe32/sluice/internal/executor"
	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/record"
)

// session is one client that a gateway has given to this worker.
type session struct {
	// The fields that each message uses are adjacent, because the processor's caches have no room for
	// all sessions of a worker.
	executor.Client[item]
	link    *gwLink               // static
	token   uint64                // static
	number  uint32                // owned by the leader: number of the newest message
	called  record.ID             // guarded by Mu: what the running call is counted as
	running running               // guarded by Mu: whether a call runs
	refused bool                  // owned by the goroutine that runs the items: Connect has failed
	unit    *unit                 // guarded by Mu while a call runs: its effects
	undo    *known                // guarded by Mu: known before the running call changed it; nil if it has not
	ranIn   uint64                // guarded by Mu: number of the batch that has the last call by a leader
	calls   uint64                // guarded by Mu: calls begun so far; the number of a call
	failed  atomic.Pointer[error] // why the running call fails when it returns; nil if it does not

	known  known               // guarded by Mu; attrs are never changed in place
	timers map[*Timer]struct{} // guarded by Mu; bound: timers of a client

	remote   string   // static
	listener string   // static
	request  *Request // static
}

// running says whether a call of a session runs.
type running uint8

const (
	idle running = iota
	inCall
	inConnect // in the call of Connect
)

// id returns the client's id.
func (s *session) id() *ClientID { return (*ClientID)(&s.ID) }

// newSession returns the session of an Attach frame.
func newSession(l *gwLink, f *link.Frame, a *link.Attachment) *session {
	s := &session{
		link: l, token: f.Token,
		remote: a.Remote, listener: a.Listener, number: f.ID,
		known: known{uid: a.UID, uidVersion: a.UIDVersion, version: a.Version, attrs: a.Attrs},
	}
	s.ID = executor.ID(link.MakeClientID(l.gateway, l.loop, f.Slot, f.Token))
	if a.Target != "" {
		s.request = &Request{Target: a.Target, kept: a.Request}
	}
	return s
}

// Request is the HTTP request of a WebSocket client, as far as the gateway keeps it: the target,
// and the header fields that the listener is configured to keep (KeepHeaders, --keep-header). By
// default these are the fields that applications need most, such as Host, Origin, Cookie,
// Authorization and User-Agent. Fields for the gateway itself, such as Connection, Upgrade and
// Sec-WebSocket-Key, are not kept. The methods of a nil Request return empty values.
type Request struct {
	Target string // path and query
	kept   string // encoded by link.AppendRequest; Target is a view of it
}

// Path returns the target without its query.
func (r *Request) Path() string {
	if r == nil {
		return ""
	}
	path, _, _ := strings.Cut(r.Target, "?")
	return path
}

// Query returns the first value of a query parameter, or "".
func (r *Request) Query(name string) string {
	if r == nil {
		return ""
	}
	_, query, _ := strings.Cut(r.Target, "?")
	values, _ := url.ParseQuery(query) // the parts that are valid
	return values.Get(name)
}

// Header returns the first value of a header field, or "". The case of the name does not matter.
func (r *Request) Header(name string) string {
	if r == nil {
		return ""
	}
	for field, value := range link.RequestHeaders(r.kept) {
		if strings.EqualFold(field, name) {
			return value
		}
	}
	return ""
}

// Subprotocol returns the WebSocket subprotocol that the gateway has selected, or "". The header
// field Sec-WebSocket-Protocol has those that the client has offered.
func (r *Request) Subprotocol() string { return r.Header(link.SubprotocolHeader) }

// Cookie returns the value of a cookie, or "".
func (r *Request) Cookie(name string) string {
	if r == nil {
		return ""
	}
	for field, value := range link.RequestHeaders(r.kept) {
		if !strings.EqualFold(field, "Cookie") {
			continue
		}
		for pair := range strings.SplitSeq(value, ";") {
			if k, v, _ := strings.Cut(strings.TrimSpace(pair), "="); k == name {
				return strings.Trim(v, `"`)
			}
		}
	}
	return ""
}
