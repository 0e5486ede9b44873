package bench_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/panjf2000/gnet/v2"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// httpEnv makes the raw server answer HTTP: a response of 128 bytes for each request.
const httpEnv = "SLUICE_BENCH_HTTP"

// rawHTTP is as much of HTTP as wrk needs.
type rawHTTP struct{ rawEcho }

var (
	httpEnd = []byte("\r\n\r\n")
	// httpResponse has 128 bytes.
	httpResponse  = "HTTP/1.1 200 OK\r\nContent-Length: 89\r\n\r\n" + strings.Repeat("x", 89)
	httpResponses = []byte(strings.Repeat(httpResponse, 64))
)

func (*rawHTTP) OnTraffic(c gnet.Conn) gnet.Action {
	b, err := c.Peek(-1)
	if err != nil {
		return gnet.Close
	}
	end := bytes.LastIndex(b, httpEnd) + len(httpEnd)
	if end < len(httpEnd) {
		return gnet.None
	}
	requests := bytes.Count(b[:end], httpEnd)
	_, err = c.Discard(end)
	if err == nil {
		_, err = c.Write(httpResponses[:128*requests])
	}
	if err != nil {
		return gnet.Close
	}
	return gnet.None
}

// BenchmarkWrk compares the generator with wrk, if that is installed: CPU time of the load maker
// per message, in turn, both with one thread and 1,000 connections, against a gnet server of one
// loop, with requests and responses of 128 bytes. wrk checks only the form of a response. sluice
// bench checks every message. Both record the latency of each.
//
//	go test -run '^$' -bench Wrk -benchtime 1x ./bench
func BenchmarkWrk(b *testing.B) {
	wrk, err := exec.LookPath("wrk")
	if err != nil {
		b.Skip("wrk is not installed")
	}
	echo := startRaw(b, 1)
	http := proctest.Start(b, []string{httpEnv + "=1", rawEnv + "=" + freeAddr(b), rawLoopsEnv + "=1"}, os.Args[0])
	for _, inFlight := range []int{1, 16} {
		b.Run(fmt.Sprintf("inflight=%d", inFlight), func(b *testing.B) {
			var ratios, ours, theirs []float64
			for range b.N * rounds {
				r, err := bench.Run(b.Context(), bench.Options{
					Codec: bench.Text, Conns: 1000, InFlight: inFlight, Size: 127, Loops: 1, Warmup: time.Second,
					Window: 3 * time.Second, Targets: []string{echo.Addrs["text"]}, PIDs: []bench.PID{{Name: "raw", PID: echo.PID}},
				}, nil)
				if err != nil || r.Verdict.Failed {
					b.Fatal(err, r)
				}
				mine, his := r.Own.PerMessage, runWrk(b, wrk, http.Addrs["text"], inFlight)
				ours, theirs, ratios = append(ours, mine), append(theirs, his), append(ratios, mine/his)
				b.Logf("sluice bench %.2f µs, wrk %.2f µs of CPU a message", mine, his)
			}
			b.ReportMetric(median(ours), "bench-µs/msg")
			b.ReportMetric(median(theirs), "wrk-µs/msg")
			b.ReportMetric(median(ratios), "ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// pipelined makes wrk send several requests at once, each with 128 bytes.
const pipelined = `
init = function(args)
  local one = wrk.format("GET", "/", {["Host"] = "127.0.0.1"})
  one = wrk.format("GET", "/" .. string.rep("x", 128 - #one), {["Host"] = "127.0.0.1"})
  all = string.rep(one, %d)
end
request = function() return all end
`

// runWrk runs wrk for as long as the generator runs, and returns its CPU
// time per request in microseconds.
func runWrk(b *testing.B, wrk, addr string, inFlight int) float64 {
	b.Helper()
	script := filepath.Join(b.TempDir(), "wrk.lua")
	if err := os.WriteFile(script, []byte(fmt.Sprintf(pipelined, inFlight)), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(b.Context(), wrk, "-t1", "-c1000", "-d4s", "-s", script, "http://"+addr+"/")
	out, err := cmd.CombinedOutput()
	found := regexp.MustCompile(`(\d+) requests in`).FindSubmatch(out)
	if err != nil || found == nil || bytes.Contains(out, []byte("Socket errors")) ||
		bytes.Contains(out, []byte("Non-2xx")) {
		b.Fatalf("%v\n%s", err, out)
	}
	requests, err := strconv.Atoi(string(found[1]))
	if err != nil {
		b.Fatal(err)
	}
	return float64((cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Microseconds()) / float64(requests)
}
