'use strict'
// An echo on socket.io over WebSocket alone: an event goes back as it came, or to all.
const { createServer } = require('node:http')
const { Server } = require('socket.io')
const { listenAt, isBroadcast, ready } = require('./common.js')

const http = createServer()
const io = new Server(http, { transports: ['websocket'], serveClient: false })
io.engine.on('connection', (raw) => { raw.request = null }) // its documentation recommends to let go of the request, for memory
io.on('connection', (socket) => {
  socket.on('m', (data) => {
    if (isBroadcast(data.charCodeAt(0))) io.emit('m', data)
    else socket.emit('m', data)
  })
})
http.listen(listenAt(), () => ready(http.address()))
