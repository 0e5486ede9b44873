// Package worker runs the business of a sluice: what back-end developers import.
//
// A Worker dials gateways, which hold the clients, and calls a Handler for what clients do. Through its *Client a handler answers, sends to
// other clients, uids and groups, and asks who is there:
//
//	type room struct{}
//
//	func (room) OnConnect(c *worker.Client) { _ = c.Join("lobby") }
//
//	func (room) OnMessage(c *worker.Client, m worker.Message) {
//		_ = c.Publish("lobby", m, c.ID()) // to all others
//	}
//
//	w, err := worker.New(worker.Config{Gateways: []string{"127.0.0.1:2300"}}, room{})
//	…
//	err = w.Run(ctx)
//
// # What runs where
//
// The calls for one client never overlap and come in order; those for different clients run side by side. A handler may block: it holds up its
// own client and nobody else. Any number may block at once. Each costs a goroutine, some 8 KiB with its stack; Stats.Blocked says how many there are. A client that goes
// meanwhile is kept until its calls have returned (Stats.Leaving); when 4,096 of a link are, the gateway gives this worker no more clients until half of them are done. This holds when the link to the gateway dies and comes back, too: the client's next call waits for the one that still runs.
// It is not known to other workers: when one of those gets the client, its first call may run beside the last one here, whose message it gets Redelivered.
//
// # Who is let in
//
// A client is in when its OnConnect has returned, or at once where the Handler has none. Until then it hears no Broadcast but one that OnConnect itself sends; what is sent to it, its uid or its
// groups it hears. OnConnect fails closed: when it panics, ends its goroutine, or has ended so many links that the gateway sets it aside, the client is closed with ReasonInternal (WebSocket
// code 1011), and no message of it comes to OnMessage. OnClose is called all the same, for what OnConnect may have begun. Where the worker dies before OnConnect has returned, another one's is called.
// To refuse a client, OnConnect calls CloseWith or Close.
//
// # Effects are a unit
//
// What a handler does through its *Client while it runs reaches its gateway together with the acknowledgement of the message, wholly or not at
// all. If the worker dies, or loses its link, before that, the message goes to the next worker, marked Redelivered, and nobody has seen anything of the first attempt:
// clients see each effect once, and in order, at every gateway. The client's gateway passes on what is for clients of other gateways, and keeps it until they have confirmed it. That is lost, and
// counted by it (gateway.LoopStats.Unreached), when it cannot reach another gateway for 10 s, when more than 4 MiB wait for one that it cannot reach, and when it dies itself.
// Of what is not in the unit this is true:
//
//   - What waits for an answer goes out at once too: Deliver, JoinNow and CompareAndSet overtake the handler's earlier Sends and stand whatever becomes of the call; the
//     questions (Count, Select, Online, …) do not see what the handler has done so far.
//   - Flush sends what was done so far, for a handler that must show progress before it returns. For that message it gives up the above: should the worker die, or lose its
//     link, before the call has returned, what was flushed stands, and clients see it again when the next worker has the message.
//   - What is done through a *Worker (w.Client(c.ID()).Send, w.Publish, …) is a plain send: it goes out at once, straight to the gateways that it is for, is no part of a call, and whoever does it while handling a
//     message does it again when that is redelivered. What one goroutine sends to one client so arrives in order. A gateway without a link does not get it:
//     what is for that one alone returns ErrLinkDown, what is for all of them is counted (Stats.Unreached). It is the way for other goroutines: what these do through a handler's *Client is a plain send while no call
//     for that client runs, else part of the one that does, whichever that is, and without effect when that one fails.
//   - Of effects elsewhere, in a database say, the gateway knows nothing: Message.Key is the same at each delivery, to make them once.
//
// # What is refused
//
// What has no room in a frame is refused before anything is done, with ErrTooBig: a message of more than 16 MiB, a uid or group of more than 1,024 bytes, a key of more than
// 65,535, a list of more than 65,535 names or clients, attributes of more than 1 MiB. An empty name is ErrEmpty, a Query or Class that says what there is not ErrInvalid. A call that does more
// than 4 MiB gets ErrUnitTooLarge, unless what it does is one command alone. That a method returns nil does not say that the client was still there, nor that there was room
// for one group more: Deliver, CompareAndSet and JoinNow wait and tell.
//
// # Buffers
//
// Message.Data is a view that is valid until the handler returns: copy what is to be kept. What is given to a method is copied before it returns.
//
// # State
//
// A worker holds no connection and should hold no state that cannot be lost: attributes, uid and groups live in the gateway, next to the
// connection, and come along when a client moves to another worker.
package worker
