// Package gateway holds clients and passes what they say to workers.
//
// A Gateway opens Listeners for clients (WebSocket, lines, JSON, frames) and one inner port for workers. Each client is a session on one event loop for
// life, and sticks to one worker, which a Router picks. What workers send back — to a client, a uid, a group, everyone — it encodes once for each wire
// format and writes once for each client and turn of the loop. When a worker goes, its clients stay and go to others; when none is there, messages are
// held, bounded in bytes and time, and then refused with a word to the client.
//
// Everything of a loop's clients is owned by the loop: no lock is taken and nothing allocated for a message. OnUpgrade and Router.Pick run on loops and must not block;
// ListenerConfig.Page runs on goroutines of its own. A loop that waits for its clients does so in the kernel, with one of Go's processors in hand, which the runtime takes back late: a
// program that does more than hold clients, runs a worker say, should have fewer loops than processors (Config.Loops), or what it does may wait for some milliseconds.
//
//	g, err := gateway.New(gateway.Config{
//		WorkerAddr: "10.0.0.5:2300",
//		Key:        key,
//		Listeners:  []gateway.ListenerConfig{{URL: "ws://0.0.0.0:7272"}, {URL: "text://0.0.0.0:7273"}},
//	})
//	…
//	err = g.Serve(ctx) // until ctx ends, and then until the clients have been told to go, at a pace, and have gone
//
// # How a client ends
//
// A client that ends its side of the connection (FIN) is closed when all that it has sent is handled and the answers are written, or 30 s later; its worker hears of the end then.
// An answer that comes when the handler has returned is too late. A WebSocket's close frame ends the client at once. When the gateway closes a client its worker hears of it at once. The
// connection of a WebSocket stays until the client has answered the close frame, for 5 s at most, and for 1 s where the client has broken a rule or a limit.
//
// # What a client hears of the gateway itself
//
// Whoever is closed hears why. A WebSocket has a close code for that: 1000 when the client or the business ended it, 1002 and 1007 for what the protocol forbids, 1008 for
// limits, 1009 for what is too big, 1011 for a fault of ours, or of the worker that was to let it in, 1012 when the gateway closes down, 4003 for silence, 4008 where the first message did not come, 4010 when a newer
// connection has taken the uid, and the code that worker.Refuse was given. Clients of other protocols get a last message instead: {"type":"sluice.closed","reason":"idle"} with the reason in words, as worker.Reason has it,
// or {"type":"sluice.draining"}; none when they or the business ended it. One that takes nothing any more is cut without a word. Who sends what cannot be read is not read any
// further; when all that came before is handled and answered it hears what is wrong, in a WebSocket's close frame or as "detail" of the message
// (a message of more than 1000 bytes, for example), and is closed.
// {"type":"sluice.refused","code":…,"count":…} says to clients of all protocols that so many of their messages were not handled: no_worker (none came within QueueTimeout),
// hold_full (none is there, and MaxUnroutedBytes wait for one), poison (each worker that got it died, or gave it up: worker.Retry), draining. {"type":"sluice.overloaded"} turns newcomers away.
package gateway
