package main

import (
	"context"
	"net/http"
	"sync"

	"github.com/gorilla/websocket"
)

// gorillaConn is a connection with several writers. The library allows one at a time.
type gorillaConn struct {
	*websocket.Conn
	mu sync.Mutex // of writes
}

// serveGorilla is an echo on gorilla/websocket with a pool of write buffers, as its documentation
// recommends for many connections. A broadcast is prepared once and written by the goroutine that
// received it. That is the cheapest way, but one slow receiver would block all.
func serveGorilla(ctx context.Context, s site) error {
	up := websocket.Upgrader{
		ReadBufferSize: 4 << 10, WriteBufferSize: 4 << 10, WriteBufferPool: &sync.Pool{},
		CheckOrigin: func(*http.Request) bool { return true },
	}
	var all everybody[*gorillaConn]
	return serveHTTP(ctx, s, func(w http.ResponseWriter, r *http.Request) {
		ws, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = ws.Close() }()
		c := &gorillaConn{Conn: ws}
		all.add(c)
		defer all.remove(c)
		for {
			kind, p, err := c.ReadMessage()
			if err != nil {
				return
			}
			if !isBroadcast(p) {
				if c.write(kind, p) != nil {
					return
				}
				continue
			}
			m, err := websocket.NewPreparedMessage(kind, p)
			if err != nil {
				return
			}
			all.each(func(c *gorillaConn) { c.writePrepared(m) })
		}
	})
}

func (c *gorillaConn) write(kind int, p []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.WriteMessage(kind, p)
}

func (c *gorillaConn) writePrepared(m *websocket.PreparedMessage) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.WritePreparedMessage(m) // the reader gets the error
}
