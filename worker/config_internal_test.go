package worker

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/validtest"
)

// An invalid Config is refused with the name of the field. The error about an address in another
// notation shows the right one.
func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	at := []string{"127.0.0.1:2300"}
	long := strings.Repeat("n", 201)
	h := Handler{}
	for want, cfg := range map[string]Config{
		"Config.Gateways: must have at least one address":   {},
		"Config.Gateways: \"here\": must be host:port":      {Gateways: []string{"here"}},
		"without a scheme: 127.0.0.1:7272 (give the worker": {Gateways: []string{"ws://127.0.0.1:7272/chat"}},
		"without a scheme: 10.0.0.5:2300": {
			Gateways: []string{"127.0.0.1:2300", "gateway://10.0.0.5:2300"},
		},
		"between 0 and 65535":                                  {Gateways: []string{"127.0.0.1:72720"}},
		"Config.Name: 201 bytes: must be at most 200":          {Gateways: at, Name: long},
		"Config.Build: 201 bytes: must be at most 200":         {Gateways: at, Build: long},
		"Config.MaxDeliveries: 256: must be between 1 and 255": {Gateways: at, MaxDeliveries: 256},
		"Config.Weight: 65536: must be between 1 and 65535":    {Gateways: at, Weight: 65536},
		"Config.Window: 1: must be between 65536 and":          {Gateways: at, Window: 1},
		"Config.Window: 268435457: must be between":            {Gateways: at, Window: maxWindow + 1},
	} {
		_, err := New(cfg, h)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		bad, ok := errors.AsType[*ConfigError](err)
		if !ok || !strings.HasPrefix(err.Error(), "worker: Config."+bad.Field+": ") {
			t.Errorf("%v is no ConfigError that names its field", err)
		}
	}
}

// Every field of a Config has a default, and refuses what is not possible. A new field has to be
// added here.
func TestConfigFields(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", link.MaxName+1)
	check := func(c *Config) error { return c.setDefaults() }
	validtest.Fields(t, Config{Gateways: []string{"127.0.0.1:2300"}}, check, map[string]validtest.Field{
		"Gateways": {
			Good: []any{[]string{":1", "[::1]:2300"}},
			Bad:  []any{[]string(nil), []string{"host"}, []string{":1", "ws://:1"}},
		},
		"Key":                  {Good: []any{[]byte(nil), make([]byte, 16)}, Bad: []any{make([]byte, 1), make([]byte, 15)}},
		"TLS":                  {Good: []any{(*tls.Config)(nil), new(tls.Config)}},
		"Name":                 {Good: []any{"", "n"}, Bad: []any{long}},
		"Module":               {Good: []any{"", "m"}, Bad: []any{long}},
		"Build":                {Good: []any{"", "b"}, Bad: []any{long}},
		"Weight":               {Default: 100, Max: 65535},
		"Window":               {Default: 4 << 20, Min: 64 << 10, Max: 256 << 20},
		"MaxDeliveries":        {Default: 5, Max: 255},
		"MaxBlockedCalls":      {Default: 65_536, Off: true},
		"SlowHandlerThreshold": {Default: int64(5 * time.Second), Off: true},
		"QueryTimeout":         {Default: int64(5 * time.Second)},
		"DrainTimeout":         {Default: int64(10 * time.Second)},
		"Discover":             {},
		"OnStats":              {},
		"NoClients":            {Good: []any{false, true}},
		"Dial":                 {},
		"Logger":               {},
	})
}
