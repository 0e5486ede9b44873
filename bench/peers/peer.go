package main

import (
	"context"
	"net"

	"github.com/seed-7410fe32/sluice/bench"
)

// A peer is an echo server, and how to load it.
type peer struct {
	name   string
	module string // of the Go proxy or npm, for its version; empty for sluice
	hops   int    // processes that a message passes, without the client
	note   string // setup, for the table
	codec  bench.Codec
	path   string // of the WebSocket handshake
	// echo and fanout are the envelopes of the two modes; nil: the message alone.
	echo, fanout *bench.Envelope
	fansOut      bool
	serve        func(context.Context, site) error // in a process of its own; nil for sluice and for scripts
	script       string                            // for Node.js
}

// A site is where a server listens and how many event loops it has. The
// server calls ready once it listens.
type site struct {
	listen string
	loops  int
	ready  func(net.Addr)
}

// floor is the peer that the others are compared with.
const floor = "gnet"

const gnetModule = "github.com/panjf2000/gnet/v2"

// peers returns all peers in the order of the table.
func peers() []peer {
	around := func(before, after string) bench.Framing { return bench.Framing{Before: before, After: after} }
	socketio := &bench.Envelope{
		Opening: []bench.Exchange{{Await: "0{"}, {Send: "40", Await: "40{"}},
		Out:     around(`42["m","`, `"]`), In: around(`42["m","`, `"]`), Ping: "2", Pong: "3",
	}
	rpc := around(`{"id":2,"rpc":{"data":"`, `"}}`)
	published := around(`{"push":{"channel":"`+centrifugeChannel+`","pub":{"data":"`, `"}}}`)
	all := []peer{
		{name: floor, module: gnetModule, note: "bytes back as they come, no messages", codec: bench.Text, serve: serveGnet},
		{name: "gnet-ws", module: gnetModule, note: "gnet and the least of WebSocket, by hand", serve: serveGnetWS},
		{name: "sluice-text", hops: 2, note: "gateway and worker, text lines", codec: bench.Text, fansOut: true},
		{name: "sluice", hops: 2, note: "gateway and worker, WebSocket", fansOut: true},
		{name: "gws", module: "github.com/lxzan/gws", note: "its own server; Broadcaster", serve: serveGWS},
		{name: "nbio", module: "github.com/lesismal/nbio", note: "event-driven (IOModNonBlocking)", serve: serveNbio},
		{
			name: "gorilla", module: "github.com/gorilla/websocket", serve: serveGorilla,
			note: "write buffer pool; PreparedMessage",
		},
		{name: "coder", module: "github.com/coder/websocket", note: "defaults", serve: serveCoder},
		{name: "melody", module: "github.com/olahol/melody", note: "defaults; Broadcast", serve: serveMelody},
		{
			name: "centrifuge", module: "github.com/centrifugal/centrifuge", serve: serveCentrifuge,
			note: "its JSON protocol: RPC, channel; write buffer pool",
			echo: centrifugeEnvelope(rpc, rpc), fanout: centrifugeEnvelope(around(`{"send":{"data":"`, `"}}`), published),
		},
		{name: "node-ws", module: "ws", note: "Node.js, ws with bufferutil", script: "ws.js"},
		{
			name: "socket.io", module: "socket.io", note: "Node.js, its own protocol over WebSocket", script: "socketio.js",
			path: "/socket.io/?EIO=4&transport=websocket", echo: socketio, fanout: socketio,
		},
	}
	for i := range all {
		p := &all[i]
		p.hops = max(p.hops, 1)
		p.fansOut = p.fansOut || p.module != gnetModule
		if p.codec == "" {
			p.codec = bench.WebSocket
		}
	}
	return all
}

// centrifugeEnvelope is its JSON protocol: a connect command first, one answer per line if several
// share a frame, an empty object as ping and pong. The answer to connect is sent before the client
// is subscribed, and publications in between do not reach it. The next command is handled after
// that, so its answer means that the client receives everything from then on.
func centrifugeEnvelope(out, in bench.Framing) *bench.Envelope {
	return &bench.Envelope{
		Opening: []bench.Exchange{
			{Send: `{"id":1,"connect":{}}`, Await: `{"id":1,"connect":`},
			{Send: `{"id":2,"rpc":{"data":"subscribed?"}}`, Await: `{"id":2,"rpc":`},
		},
		Out: out, In: in, Separator: "\n", Ping: "{}", Pong: "{}",
	}
}
