// Package fleet starts gateways and workers as processes of their own, and puts them under a load
// whose every message is audited.
package fleet

import (
	"context"
	"strings"
	"testing"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// Fleet is gateways, and what workers and clients need to find them. One goroutine uses it.
type Fleet struct {
	TB       testing.TB
	Bin      string              // the program
	Gateways []*proctest.Process // that have been started
	// Where workers connect, for each gateway: its worker address, or that of a faultproxy.Proxy in
	// front of it.
	Inner   []string
	Targets []string           // where clients connect, when all speak one codec
	Mix     []bench.WireFormat // what clients speak and where, when they do not; nil: all speak one
}

// New starts gateways that speak a codec, bench.Mixed being all wire formats. They end with the
// test.
func New(tb testing.TB, bin string, codec bench.Codec, gateways int) *Fleet {
	tb.Helper()
	f := &Fleet{TB: tb, Bin: bin}
	listen := []string{"--listen", string(codec) + "://127.0.0.1:0"}
	if codec == bench.Mixed {
		listen = ListenToAll()
	}
	for range gateways {
		g := proctest.Start(tb, nil, f.Bin,
			append([]string{"gateway", "--inner", "127.0.0.1:0", "--reactors", "2"}, listen...)...)
		f.Gateways = append(f.Gateways, g)
		f.Inner, f.Targets = append(f.Inner, g.Addrs["inner"]), append(f.Targets, g.Addrs[string(codec)])
	}
	if codec == bench.Mixed {
		f.Mix = Addressed(f.Gateways...)
	}
	return f
}

// Worker starts a worker of all gateways, which does what a load asks for.
func (f *Fleet) Worker() *proctest.Process {
	f.TB.Helper()
	return proctest.Start(f.TB, nil, f.Bin, "bench", "serve", "--worker", "--gateway", strings.Join(f.Inner, ","))
}

// ListenToAll returns the flags of a gateway that speaks all wire formats.
func ListenToAll() (flags []string) {
	for _, c := range bench.Codecs {
		flags = append(flags, "--listen", string(c)+"://127.0.0.1:0")
	}
	return flags
}

// Addressed returns all wire formats, with where the gateways speak them.
func Addressed(gateways ...*proctest.Process) []bench.WireFormat {
	mix := bench.WireFormats()
	for i := range mix {
		for _, g := range gateways {
			mix[i].Targets = append(mix[i].Targets, g.Addrs[string(mix[i].Codec)])
		}
	}
	return mix
}

// Load runs a load beside the test. The channel returns its report and is closed. If the load
// could not be run it returns none, and the test fails.
func Load(tb testing.TB, o bench.Options) <-chan *bench.Report {
	done, _ := LoadUntil(tb, o)
	return done
}

// LoadUntil is Load for a load that the test ends before its window does. The report covers the
// time until then.
func LoadUntil(tb testing.TB, o bench.Options) (done <-chan *bench.Report, end func()) {
	ctx, end := context.WithCancel(tb.Context())
	result := make(chan *bench.Report, 1)
	go func() {
		defer close(result)
		defer end()
		r, err := bench.Run(ctx, o, func(bench.Interval) {})
		if r != nil {
			result <- r
		} else if tb.Context().Err() == nil { // else the test has ended
			tb.Error(err)
		}
	}()
	return result, end
}

// ExpectClean fails the test unless each message has come back once, in order and unchanged, and
// no client was disconnected.
func ExpectClean(tb testing.TB, r *bench.Report) {
	tb.Helper()
	if !r.Audit.Clean() || len(r.Errors) > 0 || r.Verdict.Failed {
		tb.Errorf("%v %v", r.Errors, r.Verdict.Reasons)
	}
}
