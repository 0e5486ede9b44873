// Package fleet starts gateways and workers as processes of their own, and puts them under a load
// whose every message is audited.
package fleet

import (
	"context"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
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
			append([]string{"gateway", "--inner", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--reactors", "2"}, listen...)...)
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

var suspects = regexp.MustCompile(`(?m)^sluice_clients_suspect\{.*\} (\d+)$`)

// Suspects returns how many clients have an event that is tried alone, at all gateways.
func (f *Fleet) Suspects() (n int) {
	f.TB.Helper()
	for _, g := range f.Gateways {
		r, err := http.Get("http://" + g.Addrs["admin"] + "/metrics")
		if err != nil {
			f.TB.Fatal(err)
		}
		b, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		figures := suspects.FindAllSubmatch(b, -1)
		if err != nil || len(figures) == 0 {
			f.TB.Fatalf("no figures, %v: %s", err, b)
		}
		for _, m := range figures {
			of, _ := strconv.Atoi(string(m[1]))
			n += of
		}
	}
	return n
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
	_, done := LoadUntil(tb, o, nil)
	return done
}

// LoadUntil is like Load. It closes begun when the clients have begun to send. Once enough is
// closed, the window ends within a second, if it has begun. All that was sent is audited even so.
func LoadUntil(
	tb testing.TB, o bench.Options, enough <-chan struct{},
) (begun <-chan struct{}, done <-chan *bench.Report) {
	sends, reports := make(chan struct{}), make(chan *bench.Report, 1)
	ctx, stop := context.WithCancel(tb.Context())
	go func() {
		defer close(reports)
		defer stop()
		begin := sync.OnceFunc(func() { close(sends) })
		ended := false
		r, err := bench.Run(ctx, o, func(i bench.Interval) {
			begin()
			select {
			case <-enough:
				if i.At > 0 {
					ended = true
					stop()
				}
			default:
			}
		})
		if err != nil && (r == nil || !ended || tb.Context().Err() != nil) {
			tb.Error(err)
			return
		}
		reports <- r
	}()
	return sends, reports
}

// ExpectClean fails the test unless each message has come back once, in order and unchanged, and
// no client was disconnected.
func ExpectClean(tb testing.TB, r *bench.Report) {
	tb.Helper()
	if !r.Audit.Clean() || len(r.Errors) > 0 || r.Verdict.Failed {
		tb.Errorf("%v %v", r.Errors, r.Verdict.Reasons)
	}
}
