package faultproxy

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/leaktest"
	"github.com/seed-7410fe32/sluice/internal/link"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// ends is a Proxy with the two ends of one connection.
func ends(t *testing.T, f Faults) (w *Proxy, near, far net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if w, err = New(ln.Addr().String(), f); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	if near, err = net.Dial("tcp", w.Addr()); err != nil {
		t.Fatal(err)
	}
	if far, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	for _, conn := range []net.Conn{near, far} {
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	}
	return w, near, far
}

// The bytes arrive whole and in order in both directions, not earlier than the delay, and slowly if
// the rate is limited.
func TestAWirePassesOn(t *testing.T) {
	t.Parallel()
	sent := make([]byte, 100<<10)
	for i := range sent {
		sent[i] = byte(rand.Uint32())
	}
	for name, f := range map[string]Faults{"good": {}, "late": {Delay: 50 * time.Millisecond}, "slow": {Rate: 1 << 20}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, near, far := ends(t, f)
			for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
				began := time.Now()
				go func() { _, _ = way[0].Write(sent) }()
				got := make([]byte, len(sent))
				if _, err := io.ReadFull(way[1], got); err != nil || !bytes.Equal(got, sent) {
					t.Fatalf("other bytes come: %v", err)
				}
				least := f.Delay
				if f.Rate > 0 {
					least = time.Duration(len(sent)) * time.Second / time.Duration(f.Rate)
				}
				if took := time.Since(began); took < least {
					t.Errorf("it took %v", took)
				}
			}
		})
	}
}

// Both ends see a cut.
func TestAWireIsCut(t *testing.T) {
	t.Parallel()
	w, near, far := ends(t, Faults{})
	_, _ = near.Write([]byte("x"))
	_, _ = io.ReadFull(far, make([]byte, 1))
	if n := w.Received(); n != 1 {
		t.Errorf("it has carried %d bytes", n)
	}
	w.Cut()
	if n := w.Received(); n != 0 {
		t.Errorf("after the cut it has carried %d bytes", n)
	}
	for _, conn := range []net.Conn{near, far} {
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Error("something comes")
		}
	}
}

// Corrupt changes only the type of a frame: neither the hello nor a payload.
func TestCorrupt(t *testing.T) {
	t.Parallel()
	w, near, far := ends(t, Faults{})
	w.Corrupt(1)
	sent := append([]byte{0, 3}, "abc"...)
	sent = append(sent, append([]byte{0, 1}, 'z')...)
	at := len(sent)
	for i := range 3 {
		sent = link.Append(sent, &link.Frame{Type: link.Message, ID: uint32(i), Payload: []byte("payload")})
	}
	go func() {
		for _, b := range sent {
			_, _ = near.Write([]byte{b})
		}
	}()
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(far, got); err != nil {
		t.Fatal(err)
	}
	if !w.Corrupted() || got[at+4] != byte(link.Message)^0x80 {
		t.Errorf("the type is %d", got[at+4])
	}
	if got[at+4] ^= 0x80; !bytes.Equal(got, sent) {
		t.Error("something else was changed")
	}
}
