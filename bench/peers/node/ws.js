'use strict'
// An echo on ws, as its README has it; compression is off by default, and bufferutil is there.
const { WebSocket, WebSocketServer } = require('ws')
const { listenAt, isBroadcast, ready } = require('./common.js')

const server = new WebSocketServer(listenAt())
server.on('listening', () => ready(server.address()))
server.on('connection', (ws) => {
  ws.on('error', () => {}) // it closes
  ws.on('message', (data, binary) => {
    if (!isBroadcast(data[0])) {
      ws.send(data, { binary })
      return
    }
    for (const c of server.clients) {
      if (c.readyState === WebSocket.OPEN) c.send(data, { binary })
    }
  })
})
