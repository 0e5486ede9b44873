package worker_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"sluice/internal/wire"
	"sluice/worker"
)

// What handlers do at another gateway outlives the links to it: however often they are cut, it comes once and in order.
func TestOutboxOutlivesLinks(t *testing.T) {
	t.Parallel()
	g1, _ := realGateway(t, 1, "127.0.0.1:0", nil)
	g2, _ := realGateway(t, 2, "127.0.0.1:0", nil)
	far, err := wire.New(g2.InnerAddr(), wire.Faults{Delay: 5 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(far.Close)
	w := run(t, worker.Config{Gateways: []string{g1.InnerAddr(), far.Addr()}}, crowd{})
	<-w.Ready()
	var speakers [3]*line
	for i := range speakers {
		speakers[i] = dial(t, g1)
	}
	hearer := dial(t, g2)
	hearer.say("join room")
	hearer.hears("ok")
	const words = 2000
	var talk sync.WaitGroup
	defer talk.Wait()
	talk.Go(func() {
		for i := range words {
			for who, s := range speakers {
				s.say(fmt.Sprintf("say %d %d", who, i))
			}
			if i%200 == 100 {
				far.Cut()
			}
		}
	})
	var next [len(speakers)]int
	for range words * len(speakers) {
		var who, i int
		text := hearer.next()
		if _, err := fmt.Sscanf(text, "%d %d", &who, &i); err != nil || i != next[who] {
			t.Fatalf("%q came when word %d of speaker %d was due", text, next[who], who)
		}
		next[who]++
	}
	if s := w.Stats(); s.Resent == 0 || s.Unreached > 0 {
		t.Errorf("%d commands were sent again, %d given up", s.Resent, s.Unreached)
	}
}
