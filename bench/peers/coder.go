package main

import (
	"context"
	"net/http"

	"github.com/coder/websocket"
)

// serveCoder is an echo on coder/websocket with its defaults, without compression. The library has
// no fan-out: a broadcast is a loop over all connections.
func serveCoder(ctx context.Context, s site) error {
	var all everybody[*websocket.Conn]
	return serveHTTP(ctx, s, func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = c.CloseNow() }()
		all.add(c)
		defer all.remove(c)
		for {
			kind, p, err := c.Read(ctx)
			if err != nil {
				return
			}
			if !isBroadcast(p) {
				if c.Write(ctx, kind, p) != nil {
					return
				}
				continue
			}
			all.each(func(c *websocket.Conn) { _ = c.Write(ctx, kind, p) }) // a failure closes the connection
		}
	})
}
