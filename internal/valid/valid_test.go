package valid

import (
	"math"
	"strings"
	"testing"
	"time"
)

type inner struct{ Deep int8 }

type config struct {
	Int      int
	Wait     time.Duration
	Rate     float64
	In       inner
	Count    uint16
	Text     string
	Negative int
	hidden   int
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config config
		field  string
		says   string
	}{
		"zero": {config{}, "", ""},
		"large": {config{Int: math.MaxInt, Wait: math.MaxInt64, Rate: math.MaxFloat64, In: inner{127}, Count: 1},
			"", ""},
		"int":             {config{Int: -1}, "Int", "-1: must be at least 0"},
		"duration":        {config{Wait: -time.Second}, "Wait", "-1s: must be at least 0"},
		"float":           {config{Rate: -0.5}, "Rate", "-0.5: must be at least 0"},
		"not a number":    {config{Rate: math.NaN()}, "Rate", "NaN: must be a finite"},
		"endless":         {config{Rate: math.Inf(1)}, "Rate", "+Inf: must be a finite"},
		"within":          {config{In: inner{-3}}, "In.Deep", "-3: must be at least 0"},
		"may be negative": {config{Negative: -1, hidden: -1}, "", ""},
	} {
		field, err := Numbers(&c.config, "Negative")
		if field != c.field || (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %q, %v, want %q, %q", name, field, err, c.field, c.says)
		}
	}
}

// An address that is no HOST:PORT gives an error that names the form.
func TestHostPort(t *testing.T) {
	t.Parallel()
	for addr, says := range map[string]string{
		"127.0.0.1:2300": "", ":2300": "", "localhost:http": "", "[::1]:0": "", "[10.0.0.5]:2300": "",
		"":                     "host:port",
		"host":                 "host:2300",
		"2300":                 "127.0.0.1:2300",
		"::1":                  "[::1]:2300",
		"host:":                "port is missing",
		"host:65536":           "between 0 and 65535",
		"ws://127.0.0.1:7272/": "without a scheme: 127.0.0.1:7272",
	} {
		if err := HostPort(addr); (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", addr, err, says)
		}
	}
}
