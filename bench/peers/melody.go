package main

import (
	"context"
	"net/http"

	"github.com/olahol/melody"
)

// serveMelody is an echo on melody with its defaults. It drops messages when the queue of a
// session, 256 messages, is full; the audit would find them lost.
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
