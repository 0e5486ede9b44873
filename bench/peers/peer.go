package main

import (
	"context"
	"net"

	"github.com/seed-7410fe32/sluice/bench"
)

// A peer is an echo server of another make, or sluice itself, and how to drive it.
type peer struct {
	name   string
	module string // of the Go proxy or npm, for its version; empty for sluice
	hops   int    // processes that a message passes on its way there and back, the client not counted
	note   string // how it is set up, for the table
	codec  bench.Codec
	path   string // of the WebSocket handshake
	// echo and fanout are the envelopes of the two modes; nil: the message alone.
	echo, fanout *bench.Envelope
	fansOut      bool
	serve        func(context.Context, site) error // in a process of its own; nil for sluice and for scripts
	script       string                            // for Node.js, in the folder of the scripts
}

// A site is where a server is to listen and with how many event loops, if it has such; it calls ready once it listens.
type site struct {
	listen string
	loops  int
	ready  func(net.Addr)
}

// floor is the peer that the others are put in proportion to.
const floor = "gnet"

// peers are all of them, in the order of the table: the floor, sluice, then the others.
func peers() []peer {
	socketio := &bench.Envelope{
		Opening: []bench.Exchange{{Await: "0{"}, {Send: "40", Await: "40{"}},
		Out:     bench.Framing{Before: `42["m","`, After: `"]`}, In: bench.Framing{Before: `42["m","`, After: `"]`},
		Ping: "2", Pong: "3",
	}
	return []peer{
		{name: floor, module: "github.com/panjf2000/gnet/v2", hops: 1, note: "bytes back as they come, no messages", codec: bench.Text, serve: serveGnet},
		{name: "gnet-ws", module: "github.com/panjf2000/gnet/v2", hops: 1, note: "gnet and the least of WebSocket, by hand", codec: bench.WebSocket, serve: serveGnetWS},
		{name: "sluice-text", hops: 2, note: "gateway and worker, text lines", codec: bench.Text, fansOut: true},
		{name: "sluice", hops: 2, note: "gateway and worker, WebSocket", codec: bench.WebSocket, fansOut: true},
		{name: "gws", module: "github.com/lxzan/gws", hops: 1, note: "its own server; Broadcaster", codec: bench.WebSocket, fansOut: true, serve: serveGWS},
		{name: "nbio", module: "github.com/lesismal/nbio", hops: 1, note: "event-driven (IOModNonBlocking)", codec: bench.WebSocket, fansOut: true, serve: serveNbio},
		{name: "gorilla", module: "github.com/gorilla/websocket", hops: 1, note: "write buffer pool; PreparedMessage", codec: bench.WebSocket, fansOut: true, serve: serveGorilla},
		{name: "coder", module: "github.com/coder/websocket", hops: 1, note: "defaults", codec: bench.WebSocket, fansOut: true, serve: serveCoder},
		{name: "melody", module: "github.com/olahol/melody", hops: 1, note: "defaults; Broadcast", codec: bench.WebSocket, fansOut: true, serve: serveMelody},
		{
			name: "centrifuge", module: "github.com/centrifugal/centrifuge", hops: 1, note: "its JSON protocol: RPC, channel; write buffer pool", codec: bench.WebSocket, fansOut: true, serve: serveCentrifuge,
			echo: centrifugeEnvelope(bench.Framing{Before: `{"id":2,"rpc":{"data":"`, After: `"}}`}, bench.Framing{Before: `{"id":2,"rpc":{"data":"`, After: `"}}`}),
			fanout: centrifugeEnvelope(bench.Framing{Before: `{"send":{"data":"`, After: `"}}`},
				bench.Framing{Before: `{"push":{"channel":"` + centrifugeChannel + `","pub":{"data":"`, After: `"}}}`}),
		},
		{name: "node-ws", module: "ws", hops: 1, note: "Node.js, ws with bufferutil", codec: bench.WebSocket, fansOut: true, script: "ws.js"},
		{name: "socket.io", module: "socket.io", hops: 1, note: "Node.js, its own protocol over WebSocket", codec: bench.WebSocket, path: "/socket.io/?EIO=4&transport=websocket", fansOut: true, script: "socketio.js", echo: socketio, fanout: socketio},
	}
}

// centrifugeEnvelope is its JSON protocol: a connect command first, answers a line each when several share a frame, an empty object as ping and pong.
// The answer to connect is written before the client is subscribed, and what is published in between does not reach it. The next command is taken after
// that, so its answer tells that the client hears everything from here on.
func centrifugeEnvelope(out, in bench.Framing) *bench.Envelope {
	return &bench.Envelope{
		Opening: []bench.Exchange{{Send: `{"id":1,"connect":{}}`, Await: `{"id":1,"connect":`}, {Send: `{"id":2,"rpc":{"data":"subscribed?"}}`, Await: `{"id":2,"rpc":`}},
		Out:     out, In: in, Separator: "\n", Ping: "{}", Pong: "{}",
	}
}
