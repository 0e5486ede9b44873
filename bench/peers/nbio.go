package main

import (
	"context"
	"net"
	"net/http"
	"time"

	"github.com/lesismal/nbio/logging"
	"github.com/lesismal/nbio/nbhttp"
	"github.com/lesismal/nbio/nbhttp/websocket"
)

// serveNbio is an echo on nbio in its event-driven mode, set up as in its author's comparison of
// WebSocket servers. It has as many pollers as other servers have event loops.
func serveNbio(ctx context.Context, s site) error {
	ln, err := net.Listen("tcp", s.listen)
	if err != nil {
		return err
	}
	logging.SetLevel(logging.LevelError) // it would print before the ready line
	var all everybody[*websocket.Conn]
	up := websocket.NewUpgrader()
	up.OnOpen(all.add)
	up.OnClose(func(c *websocket.Conn, _ error) { all.remove(c) })
	up.OnMessage(func(c *websocket.Conn, kind websocket.MessageType, p []byte) {
		if !isBroadcast(p) {
			_ = c.WriteMessage(kind, p) // a failure closes
			return
		}
		all.each(func(c *websocket.Conn) { _ = c.WriteMessage(kind, p) })
	})
	engine := nbhttp.NewEngine(nbhttp.Config{
		Network: "tcp", Addrs: []string{s.listen},
		Listen: func(string, string) (net.Listener, error) { return ln, nil },
		IOMod:  nbhttp.IOModNonBlocking, NPoller: s.loops, ReleaseWebsocketPayload: true,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c, err := up.Upgrade(w, r, nil); err == nil {
				_ = c.SetReadDeadline(time.Time{})
			}
		}),
	})
	if err := engine.Start(); err != nil {
		return err
	}
	s.ready(ln.Addr())
	<-ctx.Done()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	return engine.Shutdown(ctx)
}
