// Package codec turns bytes from a client into messages and messages into bytes.
//
// A codec does no I/O, starts no goroutine and is not for concurrent use: the loop that owns a
// connection owns its codec. All codecs have the same methods:
//
//	Decode(in, out)            one item from the front of in; an answer to the peer is appended to out
//	Append(dst, payload, text) one whole message, appended to dst
//	AppendClose, AppendPing    the protocol's form of these, if it has one
//	Encoding()                 equal where Append gives equal bytes: a broadcast is encoded once for each value
//
// A payload is a view into the input, valid until the next Decode. Text, JSON, JSONLines and Frame
// are plain values without state. Each connection has a WebSocket of its own, which the handshake
// returns:
//
//	req, n, err := codec.ReadRequest(in)               // n == 0: more needed
//	ws, response, err := codec.Upgrade(req, &options)  // response goes to the client in either case
//	for len(in) > 0 {
//		ev, payload, n, reply, err := ws.Decode(in, out[:0])
//		send(reply) // with an error, too: reply then is the close frame
//		if err != nil || ev == codec.Closed {
//			break // close the connection once reply is out
//		}
//		if n == 0 {
//			break // more needed; the rest of in comes again in front of it
//		}
//		if ev != codec.None {
//			handle(payload, ev == codec.MessageText)
//		}
//		in = in[n:]
//	}
//	ws.Release() // the last payload is done with
package codec
