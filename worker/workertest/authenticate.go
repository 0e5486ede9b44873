package workertest

import (
	"net/http"

	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/worker"
)

// authenticate asks the worker who a new client is, as a gateway does before it opens a WebSocket.
// It reports whether the client is let in. Called with mu.
func (g *Gateway) authenticate(c *Client) bool {
	g.tb.Helper()
	headers := append(c.request.headers(), link.Header{Name: link.RemoteHeader, Value: c.request.Remote},
		link.Header{Name: link.ListenerHeader, Value: listenerURL})
	request := link.AppendRequest(nil, c.request.Target, headers)
	g.question++
	g.asking = c
	g.link.send(&link.Frame{Type: link.Authenticate, ID: g.question,
		Payload: link.AppendQuestion(nil, link.Question{Within: Timeout, Request: string(request)})})
	if !c.await(func() bool { return g.asking == nil }) {
		g.tb.Fatalf("workertest: Authenticate has not returned within %v", Timeout)
	}
	return c.state == open
}

// identified handles the answer of the worker. It returns false if that is malformed.
func (g *Gateway) identified(f *link.Frame) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.asking
	if c == nil || f.ID != g.question {
		return true // too late
	}
	g.asking = nil
	defer c.more.Broadcast()
	if f.Code != 0 {
		c.state, c.reason, c.refusalText = closed, worker.ReasonRefused, string(f.Payload)
		if c.refusalText == "" {
			c.refusalText = http.StatusText(int(f.Code))
		}
		return true
	}
	payload := link.Read(f.Payload)
	known := payload.Known()
	if !payload.End() {
		return false
	}
	c.request.UID, c.request.Attrs = known.UID, make(map[string]string)
	for _, a := range known.Attrs {
		c.request.Attrs[a.Key] = a.Value
	}
	return true
}
