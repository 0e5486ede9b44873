package sdnotify

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSend(t *testing.T) {
	t.Setenv(Variable, "")
	if err := Send(Ready); err != nil {
		t.Errorf("without a service manager: %v", err)
	}
	path := filepath.Join(t.TempDir(), "notify")
	t.Setenv(Variable, path)
	if err := Send(Ready); err == nil {
		t.Error("no error although nobody listens")
	}
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = manager.Close() }()
	for _, state := range []string{Ready, Reloading(), Stopping} {
		if err := Send(state); err != nil {
			t.Fatal(err)
		}
		_ = manager.SetReadDeadline(time.Now().Add(30 * time.Second))
		b := make([]byte, 256)
		n, err := manager.Read(b)
		if err != nil || string(b[:n]) != state {
			t.Errorf("the manager receives %q, %v, not %q", b[:n], err, state)
		}
	}
	if !strings.HasPrefix(Reloading(), "RELOADING=1") {
		t.Error(Reloading())
	}
}
