'use strict'
// A client on Node.js: node.js ws|undici|node talk|leave|quiet URL [NAME N]. A line of JSON on its standard output says how it went; what is wrong ends it.
const readline = require('node:readline')
const { Peer, talk, leave } = require('./whatwg.js')

const [kind, what, url, name, n] = process.argv.slice(2)
const WebSocket = kind === 'node' ? globalThis.WebSocket : require(kind).WebSocket

// What ws has and browsers do not: pings, messages in parts.
async function more () {
  const p = await new Peer(WebSocket, url).opened
  const pong = new Promise((resolve, reject) => {
    p.ws.on('pong', resolve)
    p.ws.on('close', reject)
  })
  p.ws.ping('are you there')
  if (String(await pong) !== 'are you there') throw new Error('the pong has something else')
  for (const part of ['in ', 'three ']) p.ws.send(part, { fin: false })
  p.ws.send('parts')
  const got = await p.next()
  if (got !== 'in three parts') throw new Error(`of a message in parts came back ${got}`)
  p.ws.close()
}

// quiet says nothing until there is a line on its standard input.
async function quiet () {
  const p = await new Peer(WebSocket, url).opened
  console.log('open')
  for await (const _ of readline.createInterface({ input: process.stdin })) break
  await p.echoes('still here')
  p.ws.close()
}

async function main () {
  if (what === 'leave') return leave(WebSocket, url, name, Number(n))
  if (what === 'quiet') return quiet()
  const report = await talk(WebSocket, url)
  if (kind === 'ws') await more()
  return report
}

main().then((report) => {
  console.log(JSON.stringify(report ?? {}))
}, (err) => {
  console.error(err)
  process.exit(1)
})
