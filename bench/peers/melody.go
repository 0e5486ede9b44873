package main

import (
	"context"
	"net/http"

	"github.com/olahol/melody"
)

// serveMelody is an echo on melody with its defaults. What does not fit a session's queue of 256 messages it drops, and the audit would tell.
func serveMelody(ctx context.Context, s site) error {
	m := melody.New()
	m.HandleMessageBinary(func(c *melody.Session, p []byte) {
		if isBroadcast(p) {
			_ = m.BroadcastBinary(p)
			return
		}
		_ = c.WriteBinary(p)
	})
	return serveHTTP(ctx, s, func(w http.ResponseWriter, r *http.Request) { _ = m.HandleRequest(w, r) })
}
