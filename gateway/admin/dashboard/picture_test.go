package dashboard_test

import (
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/browsertest"
)

// TestPicture makes the picture of the documentation.
func TestPicture(t *testing.T) {
	t.Parallel()
	browsertest.Path(t)
	f := start(t, nil)
	for i := range 40 {
		f.dial([]string{"lobby", "tea kitchen", "deploys"}[:1+i%3]...)
	}
	f.chatter(12)
	ada := browsertest.Open(t, 1280, 880)
	f.logIn(ada, operateToken)
	run(t, ada, until(`document.querySelectorAll(".tile .spark .line")[1].getAttribute("d")?.length > 120`))
	remember(t, f.keeper, time.Now().Add(4*time.Second)) // when the picture is made
	run(t, ada, until(`document.querySelectorAll(".modules .spark .line[d^=M]").length > 8`))
	shot(t, ada, "picture")
}
