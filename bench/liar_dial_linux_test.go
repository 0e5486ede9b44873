package bench_test

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-7410fe32/sluice/bench"
)

// TestLatencyLeavesTheDialOut has short-lived connections over a codec without a handshake,
// and slow dials: the server's backlog is full when the second connection is dialled, so
// the kernel drops its SYN, which is sent again after a second. The first message is due
// when the connection is established.
func TestLatencyLeavesTheDialOut(t *testing.T) {
	t.Parallel()
	o := bench.Options{
		Mode: bench.Churn, Codec: bench.Text, Conns: 1, PerConn: 3, Loops: 1, Warmup: -1, Window: 2500 * time.Millisecond,
		Size: messageSize,
	}
	var room time.Time // when there was room again
	var other net.Conn // which has taken it meanwhile
	s := newLiar(t, o, lie{accepted: func(s *liar, p *caller) {
		if other != nil {
			return
		}
		raw, err := s.ln.(*net.TCPListener).SyscallConn()
		if err == nil {
			err = raw.Control(func(fd uintptr) {
				if err := unix.Listen(int(fd), 0); err != nil { // room for one
					t.Error(err)
				}
			})
		}
		if err == nil {
			other, err = net.Dial("tcp", s.ln.Addr().String())
		}
		if err != nil {
			t.Error(err)
			return
		}
		<-p.done
		time.Sleep(300 * time.Millisecond) // in which the next is dialled, or not: then nothing is seen
		room = time.Now()
	}})
	o.Targets = []string{s.ln.Addr().String()}
	r, err := bench.Run(t.Context(), o, nil)
	if other != nil {
		_ = other.Close()
	}
	if err != nil || r.Verdict.Failed {
		t.Fatal(err, r)
	}
	s.stop()
	if len(s.callers) < 3 {
		t.Fatalf("%d connections", len(s.callers))
	}
	for _, p := range s.callers[2:] { // the first two are the one before, and the other
		if p.sent > 0 {
			notBefore(t, r, p, room)
		}
	}
}
