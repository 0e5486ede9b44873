// Package gateway holds the connections of clients and passes their messages to workers.
//
// A Gateway listens for clients (WebSocket, lines of text, JSON, length-prefixed frames, or a Codec
// of one's own) and for workers. Each client belongs to one event loop and to one worker, which a
// Router picks. A message from a worker may be for a client, a uid, a group or everyone. It is
// encoded once for each wire format. When a worker goes, its clients stay connected and get another
// worker. While there is no worker, messages wait, bounded in bytes and time, and are then
// rejected.
//
//	g, err := gateway.New(gateway.Config{
//		WorkerAddr: "10.0.0.5:2300",
//		Key:        key,
//		Listeners:  []gateway.ListenerConfig{{URL: "ws://0.0.0.0:7272"}, {URL: "text://0.0.0.0:7273"}},
//	})
//	...
//	err = g.Run(ctx) // until ctx ends and the clients have gone
//
// The state of a client is owned by its loop: the message path takes no lock and allocates nothing.
// Router.Pick runs on the loops and must not block. OnInvoke, OnUpgrade and Page run on goroutines
// of their own. A loop that waits for input holds one of the Go runtime's processors for some
// milliseconds. A program that also does other work, for example runs a worker, needs fewer loops
// than processors (Config.Loops).
//
// # How a client ends
//
// A client that closes its side of the connection (FIN) is closed when all its messages are handled
// and the answers are written, or after 30 s; its worker is notified then. Effects for it after its
// last handler has returned are lost. The close frame of a WebSocket ends the client at once.
//
// When the gateway closes a client, its worker is notified at once. The connection of a WebSocket
// stays open until the client has answered the close frame: for 5 s, or for 1 s when the client has
// broken the protocol or a limit, or was silent.
//
// # What a client receives from the gateway
//
// A closed client receives a reason. A WebSocket receives a close code and a text:
//
//	1000  the client or the business code closed the connection
//	1002  the client broke the WebSocket protocol
//	1007  a message is not valid UTF-8, or not valid compressed data
//	1008  a limit was exceeded, or the client read too slowly
//	1009  a message is too large
//	1011  an internal error, or the worker's Connect failed
//	1012  the gateway drains
//	4003  the client was silent for too long
//	4008  the first message did not come in time
//	4010  a newer connection has the same exclusive uid
//	4015  Identity.Expires has come
//
// or the code and the text of worker.Refuse.
//
// Clients of other protocols receive a last message with the reason of worker.Reason,
// {"type":"sluice.closed","reason":"idle"} for example, or {"type":"sluice.draining"}. They receive
// none when they or the business code ended the connection. A client that reads nothing is closed
// without a message. After input that is not valid nothing more is read. When all earlier messages
// are handled and answered, the client receives what is wrong, as "detail" of the last message, and
// is closed.
//
// {"type":"sluice.refused","code":...,"count":...} tells clients of all protocols that so many of
// their messages were not handled. The codes are:
//
//	no_worker  there was no worker for QueueTimeout
//	hold_full  there is no worker, and MaxUnroutedBytes are waiting
//	poison     the message is a dead letter: each worker that received it ended, or its handler
//	           asked for too many deliveries with worker.Retry
//	draining   the gateway closed before a worker took the message
//
// {"type":"sluice.refreshed"} and {"type":"sluice.refresh_rejected"} answer a new token, see
// ListenerConfig.OnRefresh.
//
// {"type":"sluice.overloaded"} tells a new client that the gateway accepts none.
package gateway
