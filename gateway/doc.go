// Package gateway holds clients and passes what they say to workers.
//
// A Gateway opens Listeners for clients (WebSocket, lines, JSON, frames) and one inner port for workers. Each client is a session on one event loop for
// life, and sticks to one worker, which a Router picks. What workers send back — to a client, a uid, a group, everyone — it encodes once for each wire
// format and writes once for each client and turn of the loop. When a worker goes, its clients stay and go to others; when none is there, messages are
// held, bounded in bytes and time, and then refused with a word to the client.
//
// Everything of a loop's clients is owned by the loop: no lock is taken and nothing allocated for a message. OnUpgrade and Router.Pick run on loops and must not block;
// Listener.Page runs on goroutines of its own.
//
//	g, err := gateway.New(gateway.Config{
//		Inner:     "10.0.0.5:2300",
//		Key:       key,
//		Listeners: []gateway.Listener{{URL: "ws://0.0.0.0:7272"}, {URL: "text://0.0.0.0:7273"}},
//	})
//	…
//	err = g.Serve(ctx) // until ctx ends, and then until the clients have been told to go, at a pace, and have gone
package gateway
