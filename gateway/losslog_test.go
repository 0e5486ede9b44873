package gateway_test

import (
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
)

// A gateway logs what it has rejected, once.
func TestLossesAreLogged(t *testing.T) {
	t.Parallel()
	var log logbook
	g, stop := start(t, gateway.Config{Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}},
		QueueTimeout: time.Millisecond, Logger: log.logger()})
	c := dialClient(t, g.Addrs()[0])
	c.say("nobody is there to take it")
	if got := c.receive(); !strings.Contains(got, "no_worker") {
		t.Fatal(got)
	}
	stop()
	var told []string
	for _, line := range log.lines() {
		if strings.Contains(line, "losses since") {
			told = append(told, line)
		}
	}
	if len(told) != 1 || !strings.Contains(told[0], "messages-rejected=1") {
		t.Errorf("%q", told)
	}
}
