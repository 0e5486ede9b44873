'use strict'
// What a client does that has the WebSocket of browsers (https://websockets.spec.whatwg.org): Chromium, undici, Node.js and ws have it.

// Peer is a WebSocket whose messages are read one by one.
class Peer {
  constructor (WebSocket, url, protocols = []) {
    this.messages = []
    this.end = null // of the close event, when there was one
    this.wake = () => {}
    this.ws = new WebSocket(url, protocols)
    this.ws.binaryType = 'arraybuffer'
    this.ws.addEventListener('message', (e) => {
      this.messages.push(e.data)
      this.wake()
    })
    this.ws.addEventListener('error', (e) => { this.error = e.message || 'error event' })
    this.opened = new Promise((resolve, reject) => {
      this.ws.addEventListener('open', () => resolve(this))
      this.ws.addEventListener('close', (e) => {
        this.end = { code: e.code, reason: e.reason, clean: e.wasClean }
        reject(new Error(`closed: ${JSON.stringify(this.end)} ${this.error}`))
        this.wake()
      })
    })
  }

  send (data) { this.ws.send(data) }

  // next is the next message, or null at the end.
  async next () {
    while (this.messages.length === 0) {
      if (this.end) return null
      await new Promise((resolve) => { this.wake = resolve })
    }
    return this.messages.shift()
  }

  async echoes (data) {
    this.send(data)
    const got = await this.next()
    if (typeof data === 'string' ? got !== data : !(got instanceof ArrayBuffer) || !same(new Uint8Array(got), data)) {
      throw new Error(`a message of ${data.length} came back as ${typeof got} of ${got?.length ?? got?.byteLength}; ${JSON.stringify(this.end)} ${this.error}`)
    }
  }
}

function same (a, b) { return a.length === b.length && a.every((v, i) => v === b[i]) }

// noise is bytes that no compression makes smaller.
function noise (n) {
  const bytes = new Uint8Array(n)
  for (let i = 0, x = 1; i < n; i++) {
    x = (Math.imul(x, 1103515245) + 12345) >>> 0
    bytes[i] = x >>> 16
  }
  return bytes
}

// talk opens WebSockets with sub-protocols and without, sends all kinds of messages, and closes them or lets the server do so.
async function talk (WebSocket, url) {
  const a = await new Peer(WebSocket, url + '/talk?a=b').opened
  const report = { extensions: a.ws.extensions, protocols: [a.ws.protocol] }
  for (const text of ['', 'hello', 'k\u00e4se \u2603 \u{1F600}', ...[125, 126, 65535, 65536, 1 << 20].map((n) => 'x'.repeat(n))]) await a.echoes(text)
  for (const n of [0, 1, 125, 126, 65535, 65536, 1 << 20]) await a.echoes(noise(n))
  for (let i = 0; i < 20; i++) await a.echoes(JSON.stringify({ i, words: Array(300).fill('the same again') }))
  a.send('who')
  report.who = JSON.parse(await a.next())
  a.ws.close(3001, 'enough')
  if (await a.next() !== null) throw new Error('a message after the close')
  report.closed = a.end

  const b = await new Peer(WebSocket, url, ['nobody', 'chat']).opened
  report.protocols.push(b.ws.protocol)
  await b.echoes('hello')
  b.send('kick')
  const last = await b.next()
  if (last !== 'farewell' || await b.next() !== null) throw new Error(`kicked, it heard ${last}`)
  report.kicked = b.end
  return report
}

// leave opens many WebSockets. Each has four messages in flight until it is told to go.
function leave (WebSocket, url, name, n) {
  return Promise.all(Array.from({ length: n }, async (_, i) => {
    const p = await new Peer(WebSocket, url).opened
    const report = { name: `${name}-${i}`, answers: 0 }
    for (let sent = 0; ; report.answers++) {
      for (; sent < report.answers + 4; sent++) p.send(`${report.name} ${sent}`)
      const got = await p.next()
      if (got === null) return { ...report, ...p.end }
      if (got !== `${report.name} ${report.answers}`) throw new Error(`${report.name}: answer ${report.answers} is ${got}`)
    }
  }))
}

if (typeof module === 'object') module.exports = { Peer, talk, leave }
