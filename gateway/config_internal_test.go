package gateway

import (
	"context"
	"crypto/tls"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/validtest"
)

// Every field of a Config has a default, and invalid values are refused. A new field must be added
// here.
func TestConfigFields(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", link.MaxName+1)
	good := Config{Listeners: []ListenerConfig{{URL: "text://127.0.0.1:0"}}}
	validtest.Fields(t, good, func(c *Config) error { return c.setDefaults() }, map[string]validtest.Field{
		"ID":   {Random: true},
		"Name": {Good: []any{"", "n"}, Bad: []any{long}},
		"Listeners": {
			Good: []any{[]ListenerConfig{{URL: "ws://:0"}, {URL: "frame://:0"}}},
			Bad:  []any{[]ListenerConfig(nil), []ListenerConfig{{}}, make([]ListenerConfig, 1)},
		},
		"WorkerAddr": {Good: []any{"", ":2300", "[::1]:0"}, Bad: []any{"host", ":65536", "ws://:1"}},
		"Advertise":  {Good: []any{"", "host:1"}, Bad: []any{"host", long + ":1"}},
		"Key":        {Good: []any{[]byte(nil), make([]byte, 16)}, Bad: []any{make([]byte, 1), make([]byte, 15)}},
		"LinkTLS": {
			Good: []any{(*LinkTLS)(nil), &LinkTLS{new(tls.Config), new(tls.Config)}},
			Bad:  []any{&LinkTLS{Server: new(tls.Config)}, &LinkTLS{Client: new(tls.Config)}},
		},
		"Loops":            {Default: int64(min(runtime.GOMAXPROCS(0), 255)), Max: 255},
		"PinCPUs":          {Good: []any{true}},
		"Router":           {Good: []any{(func() Router)(nil), RoundRobin}},
		"QueueTimeout":     {Default: int64(10 * time.Second)},
		"MaxUnroutedBytes": {Default: 64 << 20},
		"MaxQueueBytes":    {Default: 64 << 20},
		"MaxPartialBytes":  {Default: 64 << 20},
		"MaxTakeoverBytes": {Off: true},
		"MaxUnacked":       {Default: 256 << 10},
		"MaxGroups":        {Default: 4096, Max: 65535},
		"MaxGroupBytes":    {Default: 256 << 10, Max: 1048560},
		"MaxBuffered":      {},
		"MaxDeliveries":    {Default: 5, Min: 3, Max: 255},
		"LinkHeartbeat": {
			Default: int64(time.Second), Min: int64(time.Second), Max: int64(65535 * time.Second),
			Bad: []any{1500 * time.Millisecond},
		},
		"DrainDelay":   {Off: true},
		"DrainTimeout": {Default: int64(10 * time.Second)},
		"DrainRate":    {},
		"Rebalance":    {},
		"AdoptRate":    {Default: 10_000, Off: true},
		"OnInvoke":     {},
		"SharedInvoke": {},
		"Directory":    {},
		"OnStats":      {},
		"Logger":       {},

		"AccessLog": {}, "AccessLogSample": {Default: 1},
	})
}

// Every field of a ListenerConfig has a default, and invalid values are refused. A new field must
// be added here.
func TestListenerConfigFields(t *testing.T) {
	t.Parallel()
	check := func(c *ListenerConfig) error {
		if err := c.setDefaults(); err != nil {
			return err
		}
		return nil
	}
	fields := map[string]validtest.Field{
		"URL": {Good: []any{"ws://:0/chat/*?subprotocol=a"},
			Bad: []any{"", ":0", "ws://host", "tcp://:0", "tls+ws://:0", "text://:0/chat", "text://:0?subprotocol=a",
				"ws://:0?proxy=none", "ws://:0?proxy=required&proxy=required", "text://:0?proxy="}},
		"TrustProxies": {Good: []any{[]string{"10.0.0.5", "10.0.0.0/8", "::1", "2001:db8::/32", "::ffff:10.0.0.5"}},
			Bad: []any{[]string{""}, []string{"localhost"}, []string{"10.0.0.0/33"}, []string{"::1", "10.0.0.1:80"},
				[]string{"fe80::1%eth0"}, []string{"::ffff:10.0.0.0/104"}}},
		"RequireProxy": {Bad: []any{true}}, // without TrustProxies
		"ProxyHeaders": {Good: []any{[]string{"CF-Connecting-IP"}, []string{}},
			Bad: []any{[]string{"a b"}, []string{""}}},
		"TLS":              {Bad: []any{new(tls.Config)}}, // of a ws:// URL
		"MaxTLSHandshakes": {Default: 1024},
		"TLSHandshakeRate": {Off: true},
		"Codec":            {Bad: []any{netstring{}}}, // of a ws:// URL
		"Origins":          {Good: []any{[]string{"*", "*.a", "https://a:1/"}}, Bad: []any{[]string{""}, []string{"a/b"}}},
		"Hosts":            {Good: []any{[]string{"*.a", "a:1"}}, Bad: []any{[]string{""}, []string{"https://a"}}},
		"Subprotocols":     {Good: []any{[]string{"a", "b"}}, Bad: []any{[]string{""}, []string{"a", "a"}}},
		"Compress":         {Good: []any{true}},
		"OnUpgrade":        {}, "OnRefresh": {}, "Authenticate": {Good: []any{true}},
		"TokenSubprotocol": {Good: []any{"bearer"}, Bad: []any{"a b"}},
		"MaskQuery":        {Good: []any{[]string{"token"}}},
		"KeepHeaders":      {Good: []any{[]string{"*"}, []string{}}, Bad: []any{[]string{"a b"}, []string{"upgrade"}}},
		"MaxRequest":       {Default: 8 << 10},
		"Page":             {},
		"MaxMessage":       {Default: 1 << 20, Max: 16 << 20},
		"MaxOutput":        {Default: 1 << 20},
		"Overflow":         {Max: int64(engine.DropNewest)},
		"WriteTimeout":     {Default: int64(10 * time.Second), Off: true},
		"MaxConns":         {Off: true}, "MaxPerIP": {Off: true}, "ConnectRate": {Off: true},
		"MessageRate": {Off: true}, "ByteRate": {Off: true},
		"HandshakeTimeout":    {Default: int64(10 * time.Second)},
		"FirstMessageTimeout": {Off: true},
		"MessageTimeout":      {Default: int64(30 * time.Second), Off: true},
		"Heartbeat":           {Default: int64(25 * time.Second), Off: true},
		"MaxMissedPings":      {Default: 2, Max: 255},
		"Ping":                {Good: []any{"ping"}},
	}
	validtest.Fields(t, ListenerConfig{URL: "ws://127.0.0.1:0"}, check, fields)

	// A URL with TLS needs certificates.
	for url, valid := range map[string]bool{
		"wss://:0/chat?subprotocol=a": true, "tls+text://:0": true, "tls+json://:0": true, "tls+jsonl://:0": true,
		"tls+frame://:0": true, "tls+ws://:0": false, "tls+wss://:0": false, "tls+text://:0/chat": false,
		"tls+tcp://:0": false,
	} {
		l := ListenerConfig{URL: url, TLS: new(tls.Config)}
		if err := check(&l); (err == nil) != valid {
			t.Errorf("%s with certificates: %v", url, err)
		}
		l = ListenerConfig{URL: url}
		if err := check(&l); err == nil || valid && !strings.Contains(err.Error(), "TLS: ") {
			t.Errorf("%s without certificates: %v", url, err)
		}
	}

	// Fields for WebSockets are refused on other listeners, where they have no effect.
	for _, l := range []ListenerConfig{
		{Origins: []string{"a"}}, {Hosts: []string{"a"}}, {Subprotocols: []string{"a"}},
		{KeepHeaders: []string{"a"}}, {ProxyHeaders: []string{"a"}},
		{TokenSubprotocol: "a"}, {Authenticate: true}, {MaskQuery: []string{"a"}},
		{OnRefresh: func(context.Context, string) (Identity, error) { return Identity{}, nil }},
	} {
		l.URL = "text://127.0.0.1:0"
		if err := l.setDefaults(); err == nil {
			t.Errorf("%+v is valid", l)
		}
	}
}

// The default of Loops is valid however many processors there are. Not parallel: GOMAXPROCS is of
// the process.
func TestLoopsOfManyProcessors(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(300))
	cfg := Config{Listeners: []ListenerConfig{{URL: "text://127.0.0.1:0"}}}
	if err := cfg.setDefaults(); err != nil || cfg.Loops != maxLoops {
		t.Errorf("%d loops, %v", cfg.Loops, err)
	}
}
