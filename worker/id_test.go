package worker_test

import (
	"testing"

	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/worker"
)

// A client id is the same after it was written as text and read again.
func TestClientIDAsText(t *testing.T) {
	t.Parallel()
	largest := link.MakeClientID(1<<32-1, 255, link.MaxSlots-1, 1<<64-1)
	for _, id := range []worker.ClientID{{}, worker.ClientID(link.MakeClientID(7, 1, 3, 42)), worker.ClientID(largest)} {
		b, err := id.MarshalText()
		if err != nil || string(b) != id.String() {
			t.Errorf("%v as text: %q, %v", id, b, err)
		}
		var back worker.ClientID
		if err := back.UnmarshalText(b); err != nil || back != id || back.IsZero() != (id == worker.ClientID{}) {
			t.Errorf("%q read again: %v, %v", b, back, err)
		}
	}
	var id worker.ClientID
	if id.UnmarshalText([]byte("no id")) == nil || !id.IsZero() {
		t.Errorf("no id was read as %v", id)
	}
}
