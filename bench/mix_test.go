package bench_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/internal/certs/certstest"
	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// mixed starts a gateway with all formats, and a worker. It returns
// the formats with their addresses.
func mixed(t *testing.T, flags ...string) []bench.WireFormat {
	t.Helper()
	args := append([]string{"bench", "serve"}, flags...)
	for _, c := range bench.Codecs {
		args = append(args, "--listen", string(c)+"://127.0.0.1:0")
	}
	p := proctest.Start(t, nil, proctest.Build(t), args...)
	mix := bench.WireFormats()
	for i := range mix {
		mix[i].Targets = []string{p.Addrs[string(mix[i].Codec)]}
	}
	return mix
}

// clean makes a run whose audit must be clean.
func clean(t *testing.T, o bench.Options) *bench.Report {
	t.Helper()
	r, err := bench.Run(t.Context(), o, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Audit.Clean() || len(r.Errors) > 0 {
		t.Fatalf("%+v %v", r.Audit, r.Errors)
	}
	return r
}

// Clients of all formats are in one run. What one sends in its format the others receive in
// theirs, and each message is accounted for.
func TestMix(t *testing.T) {
	t.Parallel()
	mix := mixed(t)
	for _, mode := range bench.Modes {
		t.Run(string(mode), func(t *testing.T) {
			o := short(bench.Options{Mode: mode, Mix: mix, RoomSize: 10, Senders: len(mix), PerConn: 5})
			o.Size = 400 // some compress that
			r := clean(t, o)
			if r.Options.Codec != bench.Mixed || mode != bench.Idle && r.Messages == 0 {
				t.Errorf("%d messages of codec %s", r.Messages, r.Options.Codec)
			}
		})
	}
}

// Broadcasts of one run reach the clients of another. They recognize them if they expect them;
// otherwise they are unexpected.
func TestOverheard(t *testing.T) {
	t.Parallel()
	mix := mixed(t)
	aloud := short(bench.Options{Mode: bench.Broadcast, Mix: mix, Rate: 100})
	aloud.Window, aloud.Size = time.Minute, 300
	ctx, enough := context.WithCancel(t.Context())
	said := make(chan error, 1)
	go func() {
		_, err := bench.Run(ctx, aloud, nil)
		said <- err
	}()
	for _, size := range []int{300, 0} {
		quiet := short(bench.Options{Mode: bench.Echo, Mix: mix, Rate: 100, Overheard: size})
		r, err := bench.Run(t.Context(), quiet, nil)
		if size > 0 && (err != nil || !r.Audit.Clean() || len(r.Errors) > 0) {
			t.Errorf("what was announced: %+v, error %v", r, err)
		}
		if size == 0 && err == nil && r.Audit.Unexpected == 0 { // it may come while the connections open, which ends the run
			t.Errorf("what nobody has announced is not noticed: %+v", r.Audit)
		}
	}
	enough()
	if err := <-said; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// Slow readers can have TLS: the server cuts those that read nothing.
func TestSlowReadersOverTLS(t *testing.T) {
	t.Parallel()
	cert, key, ca := certstest.New(t).Files(t, "127.0.0.1")
	p := proctest.Start(t, nil, proctest.Build(t), "bench", "serve", "--write-timeout", "500ms",
		"--max-output", "67108864", "--tls-cert", cert, "--tls-key", key, "--listen", "wss://127.0.0.1:0")
	o := short(bench.Options{
		Mode: bench.Broadcast, Targets: []string{"wss://" + p.Addrs["wss"] + "/"}, TLS: bench.TLS{CA: ca}, Rate: 200,
		SlowReaders: 2,
	})
	o.Conns, o.Size, o.Window, o.Drain = 3, 16<<10, 5*time.Second, 30*time.Second
	r := clean(t, o)
	if r.SlowReaders == nil || r.SlowReaders.Cut != 2 {
		t.Errorf("of two that read nothing were cut: %+v", r.SlowReaders)
	}
}

// Some slow readers read a little. Those that are cut are replaced by others of another format.
func TestSlowReadersAreReplaced(t *testing.T) {
	t.Parallel()
	mix := mixed(t, "--write-timeout", "500ms", "--max-output", "67108864")
	mix = []bench.WireFormat{mix[0], mix[3], mix[4]} // those that cost a client little
	o := short(bench.Options{Mode: bench.Broadcast, Mix: mix, Rate: 200, SlowReaders: 4, SlowMixed: true})
	o.Conns, o.Size, o.Window, o.Drain = 3, 16<<10, 5*time.Second, 30*time.Second
	r := clean(t, o)
	if r.SlowReaders == nil || r.SlowReaders.Cut < 3 {
		t.Errorf("of two that read nothing, and whoever replaced them, were cut: %+v", r.SlowReaders)
	}
	t.Logf("%+v", r.SlowReaders)
}

// Formats have names. A name or a format that does not exist is refused.
func TestWireFormats(t *testing.T) {
	t.Parallel()
	var names []string
	for _, f := range bench.WireFormats() {
		names = append(names, f.String())
		if got, err := bench.ParseWireFormat(f.String()); err != nil || got.String() != f.String() || got.Window != f.Window {
			t.Errorf("%s: %v, %v", f, got, err)
		}
	}
	got := strings.Join(names, " ")
	if got != "text json jsonl frame ws ws-deflate ws-deflate-9 ws-deflate-12 ws-deflate-15" {
		t.Error(got)
	}
	_, err := bench.ParseWireFormat("smoke")
	if !errors.Is(err, bench.ErrOptions) || !strings.Contains(err.Error(), "ws-deflate-9") {
		t.Error(err)
	}
	here := []string{"127.0.0.1:1"}
	for _, f := range []bench.WireFormat{
		{Codec: "smoke", Targets: here}, {Codec: bench.Text}, {Codec: bench.Text, Deflate: true, Targets: here},
		{Codec: bench.WebSocket, Window: 9, Targets: here}, {Codec: bench.WebSocket, Deflate: true, Window: 7, Targets: here},
	} {
		_, err := bench.Run(t.Context(), bench.Options{Mix: []bench.WireFormat{f}}, nil)
		if !errors.Is(err, bench.ErrOptions) {
			t.Errorf("%+v: %v", f, err)
		}
	}
}
