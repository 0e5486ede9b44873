package codec

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// github.com/coder/websocket implements the same RFCs. Each side must understand the other.

var coderModes = map[string]struct {
	mode websocket.CompressionMode
	ours bool
}{
	"plain":             {websocket.CompressionDisabled, false},
	"theirs only":       {websocket.CompressionNoContextTakeover, false},
	"ours only":         {websocket.CompressionDisabled, true},
	"no takeover":       {websocket.CompressionNoContextTakeover, true},
	"takeover declined": {websocket.CompressionContextTakeover, true},
}

// randomMessages returns texts and bytes of 0 to 70 KB, some of which can be compressed.
func randomMessages(seed uint64) (all []message) {
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range 40 {
		n := []int{r.IntN(200), r.IntN(5000), r.IntN(70_000), 0}[i%4]
		b := make([]byte, n)
		for j := range b {
			b[j] = byte('a' + r.IntN(5))
			if i%3 == 0 {
				b[j] = byte(r.Uint32())
			}
		}
		opcode := byte(opText)
		if i%3 == 0 {
			opcode = opBinary
		}
		all = append(all, message{opcode, string(b)})
	}
	return all
}

func TestCoderAsClient(t *testing.T) {
	t.Parallel()
	for name, mode := range coderModes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			o := &UpgradeOptions{Subprotocols: []string{"chat"}}
			if mode.ours {
				o.Deflate = NewDeflate()
			}
			ours, theirs := net.Pipe()
			go serveEcho(ours, o)
			c, _, err := websocket.Dial(ctx, "ws://pipe/", &websocket.DialOptions{
				CompressionMode: mode.mode, CompressionThreshold: 1, Subprotocols: []string{"chat"},
				HTTPClient: &http.Client{Transport: &http.Transport{
					DialContext: func(context.Context, string, string) (net.Conn, error) { return theirs, nil },
				}},
			})
			if err != nil {
				t.Fatal(err)
			}
			defer c.CloseNow()
			c.SetReadLimit(1 << 20)
			for _, m := range randomMessages(1) {
				if err := c.Write(ctx, websocket.MessageType(m.opcode), []byte(m.payload)); err != nil {
					t.Fatal(err)
				}
				kind, got, err := c.Read(ctx)
				if err != nil || byte(kind) != m.opcode || string(got) != m.payload {
					t.Fatalf("%d bytes came back as %d, error %v", len(m.payload), len(got), err)
				}
			}
			if c.Subprotocol() != "chat" {
				t.Errorf("subprotocol %q", c.Subprotocol())
			}
			if err := c.Close(4000, "bye"); err != nil {
				t.Errorf("closing: %v", err)
			}
		})
	}
}

func TestCoderAsServer(t *testing.T) {
	t.Parallel()
	for name, mode := range coderModes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				c, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: mode.mode, CompressionThreshold: 1,
					Subprotocols: []string{"chat"}})
				if err != nil {
					return
				}
				defer c.CloseNow()
				c.SetReadLimit(1 << 20)
				for {
					kind, b, err := c.Read(r.Context())
					if err != nil {
						return
					}
					if err := c.Write(r.Context(), kind, b); err != nil {
						return
					}
				}
			}))
			defer srv.Close()
			nc, err := net.Dial("tcp", srv.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			if err := nc.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
				t.Fatal(err)
			}
			o := &DialOptions{Subprotocols: []string{"chat"}}
			if mode.ours {
				o.Deflate = NewDeflate()
			}
			c := &codecClient{Conn: nc}
			if err := c.upgrade(srv.Listener.Addr().String(), o); err != nil {
				t.Fatal(err)
			}
			for _, m := range randomMessages(2) {
				if _, err := nc.Write(c.ws.Append(nil, []byte(m.payload), m.opcode == opText)); err != nil {
					t.Fatal(err)
				}
				want := MessageBinary
				if m.opcode == opText {
					want = MessageText
				}
				ev, got, err := c.next()
				if err != nil || ev != want || !bytes.Equal(got, []byte(m.payload)) {
					t.Fatalf("%d bytes came back as %d, error %v", len(m.payload), len(got), err)
				}
			}
			if _, err := nc.Write(c.ws.AppendClose(nil, 4000, "bye")); err != nil {
				t.Fatal(err)
			}
			if ev, got, err := c.next(); ev != Closed || err != nil || string(got[:2]) != closing(4000, "") {
				t.Errorf("event %d, %q, error %v", ev, got, err)
			}
		})
	}
}

// codecClient is a blocking client built on the codec.
type codecClient struct {
	net.Conn
	ws *WebSocket
	in []byte
}

func (c *codecClient) fill() error {
	c.in = slices.Grow(c.in, 4096)
	n, err := c.Read(c.in[len(c.in):cap(c.in)])
	c.in = c.in[:len(c.in)+n]
	return err
}

func (c *codecClient) upgrade(host string, o *DialOptions) error {
	key := NewKey()
	if _, err := c.Write(AppendUpgrade(nil, host, "/", key, o)); err != nil {
		return err
	}
	for c.ws == nil {
		if err := c.fill(); err != nil {
			return err
		}
		ws, n, err := ReadResponse(c.in, key, o)
		if err != nil {
			return fmt.Errorf("%w: %q", err, c.in)
		}
		c.ws, c.in = ws, c.in[n:]
	}
	return nil
}

func (c *codecClient) next() (Event, []byte, error) {
	for {
		ev, payload, n, reply, err := c.ws.Decode(c.in, nil)
		if len(reply) > 0 {
			if _, err := c.Write(reply); err != nil {
				return None, nil, err
			}
		}
		c.in = c.in[n:]
		if err != nil || ev != None {
			return ev, payload, err
		}
		if n == 0 {
			if err := c.fill(); err != nil {
				return None, nil, err
			}
		}
	}
}
