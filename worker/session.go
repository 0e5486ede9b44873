package worker

import (
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// session is one client that a gateway has given to this worker.
type session struct {
	// What each message touches stands together: a worker has more sessions than the processor's caches have room for.
	id     ClientID // static
	link   *gwLink  // static
	token  uint64   // static
	number uint32   // owned by the leader: of its newest message

	mu         sync.Mutex
	unit       *unit                 // guarded by mu: of the handler that runs; nil: none does
	queue      []item                // guarded by mu: what comes after it; bound: what waits for a client at its worker
	undo       *known                // guarded by mu: what stands at the gateway, once the call that runs has changed uid or attributes in its unit
	ranIn      uint64                // guarded by mu: the leader's batch that its last call in a batch was in
	calls      uint64                // guarded by mu: begun so far; that of a call is its number
	failed     atomic.Pointer[error] // why the running call fails when it has returned; nil: it does not
	busy       bool                  // guarded by mu: a handler runs, or is about to
	connecting bool                  // guarded by mu: that handler is Connect

	gone    bool                // guarded by mu
	lingers bool                // guarded by mu: its link has ended, and something of it still runs
	known   known               // guarded by mu; attrs are never changed in place
	timers  map[*Timer]struct{} // guarded by mu; bound: timers of a client
	next    *session            // guarded by mu: the client's on the next link, which waits for that

	refused bool // owned by whoever runs its items: its Connect has failed

	remote   string   // static
	listener string   // static
	request  *Request // static

}

// newSession makes the session of an Attach frame.
func newSession(l *gwLink, f *link.Frame) (*session, error) {
	c := link.Read(f.Payload)
	a := c.Attachment()
	if !c.End() {
		return nil, badPayload(f)
	}
	s := &session{
		id: ClientID(link.MakeClientID(l.gateway, l.loop, f.Slot, f.Token)), link: l, token: f.Token, remote: a.Remote, listener: a.Listener,
		number: a.Handled, known: known{uid: a.UID, uidVersion: a.UIDVersion, version: a.Version, attrs: a.Attrs},
	}
	if a.Target != "" {
		s.request = &Request{Target: a.Target, kept: a.Request}
	}
	return s, nil
}

// Request is the HTTP request of a WebSocket client, as far as the gateway has kept it: the target, and
// the header fields that the listener is configured to keep (KeepHeaders, --keep-header). By default
// these are the ones that applications need most, such as Host, Origin, Cookie, Authorization and
// User-Agent. Fields that are for the gateway itself are not kept, such as Connection, Upgrade and
// Sec-WebSocket-Key. The methods may be called on a nil Request, of which everything is empty.
type Request struct {
	Target string // path and query
	kept   string // as link.AppendRequest has it; Target is a view of it
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
	values, _ := url.ParseQuery(query) // what can be read of it
	return values.Get(name)
}

// Header returns the first value of a header field, or "". The name may be in any case.
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

// Subprotocol returns the WebSocket sub-protocol that the gateway has agreed to, or "". What the client
// has offered is in the header field Sec-WebSocket-Protocol.
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
