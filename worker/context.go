package worker

import (
	"context"
	"time"
)

// callContext is the context of all calls of one client. It is a session, and takes everything but
// the session from the context of its link. So a message needs no context of its own.
type callContext session

func (c *callContext) Deadline() (time.Time, bool) { return c.link.ctx.Deadline() }
func (c *callContext) Done() <-chan struct{}       { return c.link.ctx.Done() }
func (c *callContext) Err() error                  { return c.link.ctx.Err() }

// Value returns the session for sessionKey. Other keys are those of the link's context; the package
// context finds the cause by one of them.
func (c *callContext) Value(key any) any {
	if key == (sessionKey{}) {
		return (*session)(c)
	}
	return c.link.ctx.Value(key)
}

type sessionKey struct{}

// sessionOf returns the session whose call ctx belongs to, or nil.
func sessionOf(ctx context.Context) *session {
	s, _ := ctx.Value(sessionKey{}).(*session)
	return s
}
