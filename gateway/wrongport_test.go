package gateway_test

import (
	"strings"
	"testing"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// A worker that dials a client address gets an error that names the address to dial. The log of a
// gateway says which protocol a client on the worker port speaks.
func TestTheWrongPort(t *testing.T) {
	t.Parallel()
	var log logbook
	cfg := gateway.Config{Logger: log.logger()}
	for _, scheme := range []string{"ws", "text", "json", "jsonl", "frame"} {
		cfg.Listeners = append(cfg.Listeners, gateway.ListenerConfig{URL: scheme + "://127.0.0.1:0"})
	}
	g, _ := start(t, cfg)
	for _, url := range g.Addrs() {
		scheme, _, _ := strings.Cut(url, ":")
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			_, err := link.Connect(dial(t, hostport(url)), nil, oneWorker)
			if err == nil || !strings.Contains(err.Error(),
				"is this a client address? workers dial the --inner address of a gateway") {
				t.Errorf("%s: %v", url, err)
			}
		})
	}
	for said, want := range map[string]string{"GET / HTTP/1.1\r\n\r\n": "speaks HTTP",
		"\x16\x03\x01\x02\x00\x01": "speaks TLS", `{"type":"hello"}` + "\n": "speaks JSON"} {
		conn := dial(t, g.WorkerAddr())
		if _, err := conn.Write([]byte(said)); err != nil {
			t.Fatal(err)
		}
		readUntilClosed(t, want, conn)
		wait(t, "that it "+want, func() bool { return strings.Contains(strings.Join(log.lines(), "\n"), want) })
	}
}
