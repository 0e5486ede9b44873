package worker_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/worker"
)

// readLink reads one frame from a worker.
func readLink(r io.Reader) (f link.Frame, err error) {
	var size [4]byte
	if _, err = io.ReadFull(r, size[:]); err != nil {
		return f, err
	}
	b := make([]byte, binary.BigEndian.Uint32(size[:]))
	copy(b, size[:])
	if _, err = io.ReadFull(r, b[len(size):]); err == nil {
		_, err = link.Next(b, link.MaxFrame, &f)
	}
	return f, err
}

// lastWord reads to the end of a link and returns its last frame.
func lastWord(t *testing.T, conn net.Conn) (last link.Frame) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	r := bufio.NewReader(conn)
	for {
		f, err := readLink(r)
		if err != nil {
			return last
		}
		last = f
	}
}

// Any frame that the protocol forbids to a gateway ends the link with GOAWAY protocol, which says
// what was wrong.
func TestBrokenFramesOfAGateway(t *testing.T) {
	t.Parallel()
	attachment := link.AppendAttachment(nil, &link.Attachment{Cause: link.CauseDied, Remote: "r", Listener: "l"})
	attach := func(handled uint32) *link.Frame {
		return &link.Frame{Type: link.Attach, ID: handled, Slot: 3, Token: 7, Payload: attachment}
	}
	message := func(number uint32, token uint64) *link.Frame {
		return &link.Frame{Type: link.Message, ID: number, Slot: 3, Token: token}
	}
	attrs := link.AppendAttributes([]byte{0, 0, 0, 1, 0, 0, 0, 1, 0, 0}, []link.Attribute{{Key: "k", Value: "v"}})
	for name, c := range map[string]struct {
		says   string
		frames []*link.Frame
	}{
		"a type of none":        {"a gateway must not send type 99", []*link.Frame{{Type: 99}}},
		"a type of a worker":    {"a gateway must not send SEND", []*link.Frame{{Type: link.Send}}},
		"an attachment cut off": {"", []*link.Frame{{Type: link.Attach, ID: 1, Payload: attachment[:3]}}},
		"a slot that is none":   {"slot", []*link.Frame{{Type: link.Attach, ID: 1, Slot: 1 << 24, Payload: attachment}}},
		"taken over without a cause": {"invalid payload of ATTACH", []*link.Frame{
			{Type: link.Attach, ID: 1, Payload: link.AppendAttachment(nil, &link.Attachment{})},
		}},
		"a cause of none": {"invalid payload of ATTACH", []*link.Frame{
			{Type: link.Attach, ID: 1, Payload: link.AppendAttachment(nil, &link.Attachment{Cause: 99})},
		}},
		"attributes cut off": {"", []*link.Frame{attach(1), {Type: link.Attrs, Slot: 3, Token: 7, Payload: []byte{0}}}},
		"bytes behind an attachment": {"invalid payload of ATTACH", []*link.Frame{
			{Type: link.Attach, ID: 1, Payload: append(slices.Clip(attachment), 0)},
		}},
		"bytes behind attributes": {"invalid payload of ATTRS", []*link.Frame{
			attach(1), {Type: link.Attrs, Slot: 3, Token: 7, Payload: append(slices.Clip(attrs), 0)},
		}},
		"an end with a payload": {"invalid payload of DETACH", []*link.Frame{
			attach(1), {Type: link.Detach, ID: 2, Slot: 3, Token: 7, Payload: []byte{0}},
		}},
		"a question cut off": {"invalid payload of AUTHENTICATE", []*link.Frame{
			{Type: link.Authenticate, Payload: []byte{0, 0, 0, 1, 0}},
		}},
		"a question without Authenticate": {"invalid payload of AUTHENTICATE", []*link.Frame{
			{Type: link.Authenticate, Payload: []byte{0, 0, 0, 1, 0, 1, '/', 0, 0}},
		}},
		"a ping with a payload": {"invalid payload of PING", []*link.Frame{{Type: link.Ping, Payload: []byte{0}}}},
		"a flag that ATTACH has not": {"flags 0x02 are not allowed in ATTACH", []*link.Frame{
			{Type: link.Attach, Flags: link.FlagNew | link.FlagRedelivered, ID: 1, Payload: attachment},
		}},
		"a flag that none has there": {"flags 0x10 are not allowed in MESSAGE", []*link.Frame{
			attach(1), {Type: link.Message, Flags: 0x11, ID: 2, Slot: 3, Token: 7},
		}},
		"a message of nobody":  {"message of an unknown client", []*link.Frame{attach(1), message(2, 8)}},
		"an end of nobody":     {"detach of an unknown client", []*link.Frame{{Type: link.Detach, ID: 1}}},
		"a number is left out": {"number 3: must be 2", []*link.Frame{attach(1), message(3, 7)}},
		"a number comes twice": {"number 2: must be 3", []*link.Frame{attach(1), message(2, 7), message(2, 7)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conns, w := rawPeer(t, 0, worker.Handler{})
			conn := <-conns
			defer func() { _ = conn.Close() }()
			<-w.Ready()
			var b []byte
			for _, f := range c.frames {
				b = link.Append(b, f)
			}
			go func() { _, _ = conn.Write(b) }()
			f := lastWord(t, conn)
			if f.Type != link.GoAway || link.Status(f.Code) != link.Protocol || !strings.Contains(string(f.Payload), c.says) {
				t.Errorf("the last frame is %v %v %q", f.Type, link.Status(f.Code), f.Payload)
			}
		})
	}
	t.Run("a length that is none", func(t *testing.T) {
		t.Parallel()
		conns, w := rawPeer(t, 0, worker.Handler{})
		conn := <-conns
		defer func() { _ = conn.Close() }()
		<-w.Ready()
		go func() { _, _ = conn.Write([]byte{0, 0, 0, 23, 0, 0, 0, 0}) }()
		if f := lastWord(t, conn); f.Type != link.GoAway || link.Status(f.Code) != link.Protocol {
			t.Errorf("the last frame is %v %v %q", f.Type, link.Status(f.Code), f.Payload)
		}
	})
}

// An answer that does not have one number for each key fails the query, and nothing else.
func TestAnAnswerOfAnotherLength(t *testing.T) {
	t.Parallel()
	conns, w := rawPeer(t, 0, worker.Handler{})
	conn := <-conns
	defer func() { _ = conn.Close() }()
	<-w.Ready()
	go func() {
		r := bufio.NewReader(conn)
		for answer := []byte(nil); ; {
			f, err := readLink(r)
			if err != nil {
				return
			}
			if f.Type != link.Count {
				continue
			}
			if _, err := conn.Write(link.Append(nil, &link.Frame{Type: link.Reply, ID: f.ID, Payload: answer})); err != nil {
				return
			}
			answer = append(answer, 0, 0, 0, 7)
		}
	}()
	for numbers := range 4 {
		n, err := w.Counts(t.Context(), []worker.Target{worker.Group("a"), worker.Group("b")})
		if numbers == 2 {
			if err != nil || n[0] != 7 || n[1] != 7 {
				t.Errorf("2 numbers: %v, %v", n, err)
			}
		} else if !errors.Is(err, worker.ErrPartial) || n[0] != 0 || n[1] != 0 {
			t.Errorf("%d numbers for 2 groups: %v, %v", numbers, n, err)
		}
	}
}

// A gateway whose largest frame is less than what handlers may send is refused. The logs of both
// sides have both sizes.
func TestALargestFrameThatIsTooSmall(t *testing.T) {
	t.Parallel()
	var logs lockedBuffer
	said := make(chan link.Frame, 1)
	var once sync.Once
	g := worker.Config{Gateways: []string{"peer"}, Logger: slog.New(slog.NewTextHandler(&logs, nil))}
	g.Dial = func(context.Context, string) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			_, err := link.Accept(far, nil, func(link.WorkerHello) (link.GatewayHello, error) {
				return link.GatewayHello{ID: 1, Epoch: 1, Loops: 1, MaxFrame: 1 << 20}, nil
			})
			if err == nil {
				f := lastWord(t, far)
				once.Do(func() { said <- f })
			}
			_ = far.Close()
		}()
		return near, nil
	}
	w, err := worker.New(g, worker.Handler{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	f := <-said
	for _, figure := range []string{"1048576", "16842752"} {
		if f.Type != link.GoAway || link.Status(f.Code) != link.Refused || !strings.Contains(string(f.Payload), figure) {
			t.Errorf("the last frame is %v %v %q", f.Type, link.Status(f.Code), f.Payload)
		}
		waitFor(t, "the log to say so", func() bool { return strings.Contains(logs.String(), figure) })
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	select {
	case <-w.Ready():
		t.Error("it is ready")
	default:
	}
}
