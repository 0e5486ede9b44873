package worker

import (
	"errors"
	"strings"
	"testing"

	"github.com/seed-7410fe32/sluice/internal/validtest"
)

// What a worker's Config says is refused by name, and an address that is meant otherwise is told how it is written.
func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	at := []string{"127.0.0.1:2300"}
	long := strings.Repeat("n", 201)
	h := Handler{}
	validtest.Negative(t, Config{Gateways: at}, func(cfg Config) error {
		_, err := New(cfg, h)
		return err
	}, "SlowHandlerThreshold")
	for want, cfg := range map[string]Config{
		"Config.Gateways: at least one":                       {},
		"Config.Gateways: \"here\" needs host:port":           {Gateways: []string{"here"}},
		"alone: 127.0.0.1:7272 (workers dial":                 {Gateways: []string{"ws://127.0.0.1:7272/chat"}},
		"alone: 10.0.0.5:2300":                                {Gateways: []string{"127.0.0.1:2300", "gateway://10.0.0.5:2300"}},
		"between 0 and 65535":                                 {Gateways: []string{"127.0.0.1:72720"}},
		"Config.Name: 201 bytes":                              {Gateways: at, Name: long},
		"Config.Build: 201 bytes":                             {Gateways: at, Build: long},
		"Config.MaxDeliveries: 256: must be within 1 and 255": {Gateways: at, MaxDeliveries: 256},
		"Config.Weight: 65536: must be within 1 and 65535":    {Gateways: at, Weight: 65536},
		"Config.Window: 1: must be within 65536 and":          {Gateways: at, Window: 1},
		"Config.Window: 268435457: must be within":            {Gateways: at, Window: maxWindow + 1},
	} {
		_, err := New(cfg, h)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if bad, ok := errors.AsType[*ConfigError](err); !ok || !strings.HasPrefix(err.Error(), "worker: Config."+bad.Field+": ") {
			t.Errorf("%v is no ConfigError that names its field", err)
		}
	}
}
