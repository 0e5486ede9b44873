package remote

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestCircuit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c circuit
		allowed := func(want bool, when string) {
			t.Helper()
			if c.allow() != want {
				t.Fatalf("%s: allowed is %v", when, !want)
			}
		}
		for range 2 {
			allowed(true, "at first")
			c.report(failed)
			allowed(true, "after one failure")
			c.report(failed)
			allowed(true, "after two failures")
			c.report(answered) // in a row: the count begins anew
		}
		for range 1000 { // that all began while the circuit was closed
			c.report(failed)
		}
		allowed(false, "after many failures")
		time.Sleep(firstPause) // a thousand failures at once are one reason for a pause
		allowed(true, "after the first pause")
		allowed(false, "while the probe is on its way")
		c.report(abandoned)
		allowed(true, "after a probe without a result")
		for pause := 2 * firstPause; pause < 4*lastPause; pause *= 2 {
			c.report(failed)
			allowed(false, "after a probe has failed")
			time.Sleep(min(pause, lastPause)/2 + min(pause, lastPause)/4 - 1)
			allowed(false, "before the end of the pause, which is shorter by a random quarter at most")
			time.Sleep(1 + min(pause, lastPause)/4)
			allowed(true, "after the next pause")
		}
		if s := c.figures(); !s.Away || s.Failures < 1000 || s.Rejected < 3 {
			t.Errorf("%+v", s)
		}
		c.report(answered)
		allowed(true, "when the server is back")
		allowed(true, "for all")
		if s := c.figures(); s.Away {
			t.Errorf("%+v", s)
		}
		for range 3 {
			c.report(failed)
		}
		time.Sleep(firstPause)
		allowed(true, "after a pause that is the first one again")
	})
}
