package worker

import (
	"net"
	"testing"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// A goroutine that a handler has started queries the gateway at the moment when the call has
// returned and its unit is not yet closed. There is no call to take the leadership from.
func TestNoTakeoverBetweenCalls(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	defer func() { _, _ = near.Close(), far.Close() }()
	w, err := New(Config{Gateways: []string{"127.0.0.1:1"}}, Handler{})
	if err != nil {
		t.Fatal(err)
	}
	l := newLink(w, near, "", link.GatewayHello{ID: 1, Loops: 1, MaxFrame: link.MaxFrame})
	s := &session{link: l, unit: &l.leader.batch}
	l.leader.call.Store(2) // even: between calls
	s.aboutToBlock()
	if n := l.leader.call.Load(); n != 2 || w.Stats().LeaderHandoffs != 0 {
		t.Errorf("the leadership was taken from no call: call is %d", n)
	}
}
