'use strict'
// What the servers have in common: where to listen, which messages go to all, the line that says ready, and the end.
process.on('SIGTERM', () => process.exit(0))

module.exports = {
  listenAt () {
    const [host, port] = process.argv[2].split(':')
    return { host, port: Number(port) }
  },
  isBroadcast: (firstByte) => firstByte === 0x62, // b
  ready: (a) => console.log(`ready ws://${a.address}:${a.port}`)
}
