package main

import (
	"context"
	"errors"
	"net/http"

	"github.com/centrifugal/centrifuge"
)

// centrifugeChannel is the channel of all clients.
const centrifugeChannel = "all"

// serveCentrifuge is an echo on centrifuge with its JSON protocol. It answers an RPC with its data,
// and publishes a message to the channel that every client subscribes to when it connects.
func serveCentrifuge(ctx context.Context, s site) error {
	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		return err
	}
	node.OnConnecting(func(context.Context, centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		all := map[string]centrifuge.SubscribeOptions{centrifugeChannel: {}}
		return centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{}, Subscriptions: all}, nil
	})
	node.OnConnect(func(c *centrifuge.Client) {
		c.OnRPC(func(e centrifuge.RPCEvent, reply centrifuge.RPCCallback) {
			reply(centrifuge.RPCReply{Data: e.Data}, nil)
		})
		c.OnMessage(func(e centrifuge.MessageEvent) { _, _ = node.Publish(centrifugeChannel, e.Data) })
	})
	if err := node.Run(); err != nil {
		return err
	}
	h := centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{
		UseWriteBufferPool: true, CheckOrigin: func(*http.Request) bool { return true },
	})
	return errors.Join(serveHTTP(ctx, s, h.ServeHTTP), node.Shutdown(context.WithoutCancel(ctx)))
}
