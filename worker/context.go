package worker

import (
	"context"
	"time"
)

// callContext is the context of all calls of one client. It is that of the session's link, which has one for all its clients, and knows the session: so none is made for a message.
type callContext session

func (c *callContext) Deadline() (time.Time, bool) { return c.link.ctx.Deadline() }
func (c *callContext) Done() <-chan struct{}       { return c.link.ctx.Done() }
func (c *callContext) Err() error                  { return c.link.ctx.Err() }

// Value knows the session, and whatever the link's context knows: its cause too.
func (c *callContext) Value(key any) any {
	if key == (sessionKey{}) {
		return (*session)(c)
	}
	return c.link.ctx.Value(key)
}

type sessionKey struct{}

// sessionOf is the session of the call whose context ctx is, or comes of; nil: of none.
func sessionOf(ctx context.Context) *session {
	s, _ := ctx.Value(sessionKey{}).(*session)
	return s
}
