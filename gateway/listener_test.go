package gateway_test

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
)

// New settings of a listener hold for clients that connect later. Clients that are connected keep
// theirs, and a config with a mistake changes nothing.
func TestUpdateListeners(t *testing.T) {
	t.Parallel()
	web := gateway.ListenerConfig{URL: "ws://127.0.0.1:0/chat", Origins: []string{"old.example"}}
	lines := gateway.ListenerConfig{URL: "text://127.0.0.1:0", MaxMessage: 4}
	g, _ := start(t, gateway.Config{Listeners: []gateway.ListenerConfig{web, lines}})
	opens := func(origin string) bool {
		return request(t, g.Addrs()[0], "/chat", true, "Host: 127.0.0.1", "Origin: https://"+origin) == "101"
	}
	stays := func(text string, conn net.Conn) bool {
		t.Helper()
		before := g.Stats().Loops[0].MessagesIn
		if _, err := io.WriteString(conn, text+"\n"); err != nil {
			t.Fatal(err)
		}
		open := true
		wait(t, "the message is taken or its client closed", func() bool {
			_ = conn.SetReadDeadline(time.Now().Add(time.Millisecond))
			if _, err := conn.Read(make([]byte, 256)); ended(err) {
				open = false
			}
			return !open || g.Stats().Loops[0].MessagesIn > before
		})
		return open
	}
	if !opens("old.example") || opens("new.example") {
		t.Fatal("the origins of the start do not hold")
	}
	opened := g.Stats().Loops[0].Opened
	before := dial(t, hostport(g.Addrs()[1]))
	wait(t, "the client is connected", func() bool { return g.Stats().Loops[0].Opened > opened })

	web.Origins, lines.MaxMessage = []string{"new.example"}, 1<<25
	if err := g.UpdateListeners([]gateway.ListenerConfig{web, lines}); err == nil {
		t.Error("an invalid limit was accepted")
	} else if bad, ok := errors.AsType[*gateway.ConfigError](err); !ok || bad.Field != "Listeners[1].MaxMessage" {
		t.Errorf("error: %v", err)
	}
	if opens("new.example") {
		t.Error("a config with a mistake was applied in part")
	}
	if err := g.UpdateListeners([]gateway.ListenerConfig{{URL: "text://127.0.0.1:1"}}); err == nil {
		t.Error("a listener that is not there was accepted")
	}

	lines.MaxMessage = 64
	if err := g.UpdateListeners([]gateway.ListenerConfig{lines, web}); err != nil {
		t.Fatal(err)
	}
	if opens("old.example") || !opens("new.example") {
		t.Error("the new origins do not hold")
	}
	if stays("longer than four", before) {
		t.Error("a connected client has got the new limit")
	}
	if !stays("longer than four", dial(t, hostport(g.Addrs()[1]))) {
		t.Error("a new client has not got the new limit")
	}
}

func TestUpdateListenersBeforeReady(t *testing.T) {
	t.Parallel()
	g, err := gateway.New(gateway.Config{Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.UpdateListeners(nil); !errors.Is(err, gateway.ErrNotReady) {
		t.Errorf("error: %v", err)
	}
}
