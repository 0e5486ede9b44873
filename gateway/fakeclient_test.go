package gateway_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// fakeClient is a client of any listener.
type fakeClient struct {
	t        testing.TB
	conn     net.Conn
	codec    clientCodec
	received chan string // messages; then "closed", or "close CODE REASON" if the protocol has a close frame
	id       link.ClientID

	deflate *codec.Deflate // offered in the upgrade
}

// clientCodec is what a fakeClient needs of a codec.
type clientCodec interface {
	Decode(in, out []byte) (ev codec.Event, payload []byte, n int, reply []byte, err error)
	Append(dst, payload []byte, text bool) []byte
	AppendClose(dst []byte, code uint16, reason string) []byte
}

// dialClient connects to the listener with the given URL.
func dialClient(t testing.TB, url string) *fakeClient {
	t.Helper()
	return newClient(t, url, dial(t, hostport(url)))
}

// newClient makes a client of a connection to the listener with the given URL.
func newClient(t testing.TB, url string, conn net.Conn) *fakeClient {
	t.Helper()
	c := &fakeClient{t: t, conn: conn, received: make(chan string, 4096)}
	var in []byte
	if c.codec = plainCodec(url); c.codec == nil {
		in = c.upgrade(hostport(url), "/")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.read(in)
	}()
	t.Cleanup(func() {
		_ = c.conn.Close()
		<-done
	})
	return c
}

// plainCodec is the codec of a listener without an upgrade, else nil.
func plainCodec(url string) clientCodec {
	switch strings.TrimPrefix(url, "tls+")[:2] {
	case "te":
		return codec.Text{MaxMessage: link.MaxMessage}
	case "fr":
		return codec.Frame{MaxMessage: link.MaxMessage}
	case "js":
		return codec.JSONLines{MaxMessage: link.MaxMessage}
	}
	return nil
}

// upgrade opens the WebSocket, and returns the bytes after the response.
func (c *fakeClient) upgrade(host, target string) []byte {
	c.t.Helper()
	key, o := codec.NewKey(), &codec.DialOptions{Deflate: c.deflate}
	c.write(codec.AppendUpgrade(nil, host, target, key, o))
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	var in []byte
	for buf := make([]byte, 4096); ; {
		n, err := c.conn.Read(buf)
		if err != nil {
			c.t.Fatalf("upgrade: %v", err)
		}
		in = append(in, buf[:n]...)
		ws, taken, err := codec.ReadResponse(in, key, o)
		if err != nil {
			c.t.Fatalf("upgrade: %v", err)
		}
		if taken > 0 {
			_ = c.conn.SetReadDeadline(time.Time{})
			c.codec = ws
			return in[taken:]
		}
	}
}

func (c *fakeClient) read(in []byte) {
	defer close(c.received)
	defer func() { _ = c.conn.Close() }() // as a peer does after a close frame
	for buf := make([]byte, 64<<10); ; {
		for len(in) > 0 {
			ev, payload, n, reply, err := c.codec.Decode(in, nil)
			_, _ = c.conn.Write(reply)
			if err != nil {
				c.received <- "broken: " + err.Error()
				return
			}
			if n == 0 {
				break
			}
			switch ev {
			case codec.Closed:
				c.received <- fmt.Sprintf("close %d %s", binary.BigEndian.Uint16(payload), payload[2:])
				return
			case codec.MessageText, codec.MessageBinary:
				c.received <- string(payload)
			}
			in = in[n:]
		}
		n, err := c.conn.Read(buf)
		if err != nil {
			c.received <- "closed"
			return
		}
		in = append(in, buf[:n]...)
	}
}

func (c *fakeClient) write(b []byte) {
	c.t.Helper()
	_ = c.conn.SetWriteDeadline(time.Now().Add(patience))
	if _, err := c.conn.Write(b); err != nil {
		c.t.Fatalf("client's write: %v", err)
	}
}

func (c *fakeClient) say(text string) {
	c.t.Helper()
	c.write(c.codec.Append(nil, []byte(text), true))
}

// receive waits for the next message, or returns how the connection ended.
func (c *fakeClient) receive() string {
	c.t.Helper()
	select {
	case m, ok := <-c.received:
		if !ok {
			return "nothing any more"
		}
		return m
	case <-time.After(patience):
		c.t.Fatal("the client receives nothing")
		return ""
	}
}
