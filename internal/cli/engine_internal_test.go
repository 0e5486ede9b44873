package cli

import (
	"context"
	"slices"
	"testing"
)

// An address that only this machine can use is told apart from others.
func TestLeadsHere(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]bool{
		"127.0.0.1:2300": true, "localhost:0": true, "[::1]:2300": true, "[::1]": true, "127.0.0.2": true,
		"127.0.0.1:1,10.0.0.1:1": true,
		"10.0.0.1:2300":          false, "gateway.example:1": false, "0.0.0.0:1": false, ":2300": false, "": false,
		"redis": false, "10.0.0.1,127.0.0.1": false,
	} {
		if got := leadsHere(addr); got != want {
			t.Errorf("%q: %v", addr, got)
		}
	}
}

// lists is a worker.Resolver that says what a test says.
type lists chan []string

func (l lists) Watch(ctx context.Context, set func([]string)) {
	for {
		select {
		case addrs := <-l:
			set(addrs)
		case <-ctx.Done():
			return
		}
	}
}

func (lists) LinkLost() {}

// A worker with a gateway of its own has it at the place that all workers give it, and alone if the
// directory does not answer.
func TestWithOwn(t *testing.T) {
	t.Parallel()
	var own ownGateway
	if err := own.Set("127.0.0.1:9,10.0.0.2:2300"); err != nil || own.String() != "127.0.0.1:9,10.0.0.2:2300" {
		t.Fatal(own, err)
	}
	if err := new(ownGateway).Set("nothing"); err == nil {
		t.Error("an address without a port is accepted")
	}
	source, got := make(lists), make(chan []string)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		withOwn{source, own}.Watch(ctx, func(addrs []string) { got <- addrs })
	}()
	expect := func(want ...string) {
		t.Helper()
		if addrs := <-got; !slices.Equal(addrs, want) {
			t.Errorf("%v, want %v", addrs, want)
		}
	}
	expect("127.0.0.1:9")
	source <- []string{"10.0.0.1:2300", "10.0.0.2:2300", "10.0.0.3:2300"}
	expect("10.0.0.1:2300", "127.0.0.1:9", "10.0.0.3:2300")
	source <- []string{"10.0.0.1:2300"}
	expect("10.0.0.1:2300", "127.0.0.1:9")
	cancel()
	<-ended
}
