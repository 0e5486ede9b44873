package dashboard_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/stats"
	"github.com/seed-7410fe32/sluice/internal/stats/keep"
)

// load is how much an interface is called in the history of the tests.
type load struct {
	module, iface string
	minute        float64       // calls a minute at the mean of a day
	median        time.Duration // of a call
}

func loads() []load {
	return []load{
		{"billing", "charge", 44, 9 * time.Millisecond}, {"billing", "refund", 1.6, 12 * time.Millisecond},
		{"chat", "connect", 90, 310 * time.Microsecond}, {"chat", "message", 5200, 95 * time.Microsecond},
		{"chat", "close", 88, 70 * time.Microsecond}, {"chat", "room.join", 210, 180 * time.Microsecond},
		{"orders", "cancel", 22, 1400 * time.Microsecond}, {"orders", "connect", 31, 350 * time.Microsecond},
		{"orders", "place", 640, 2100 * time.Microsecond}, {"orders", "timer", 120, 45 * time.Microsecond},
	}
}

// sender gives a keeper reports, as a process would.
type sender struct {
	t      *testing.T
	k      *keep.Keeper
	source [16]byte
	seq    uint64
	all    sync.WaitGroup
}

func newSender(t *testing.T, k *keep.Keeper) *sender {
	s := &sender{t: t, k: k}
	_, _ = rand.Read(s.source[:])
	return s
}

// send gives a report of a minute. It does not wait: done does.
func (s *sender) send(at time.Time, node string, rows []stats.Row, failures []stats.Failure) {
	s.seq++
	r := &stats.Report{
		Source: s.source, Seq: s.seq, Node: node, From: at, To: at.Add(time.Minute), Rows: rows, Failures: failures,
	}
	s.all.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.k.Take(ctx, r); err != nil {
			s.t.Error(err)
		}
	})
}

func (s *sender) done() { s.all.Wait() }

// rowOf makes a row of count calls, of which the given ones failed, by code.
func rowOf(
	module, iface string, count uint64, failed map[uint32]uint64, median time.Duration, spread float64,
) stats.Row {
	r := stats.Row{Module: module, Interface: iface, Count: count, Success: count}
	for code, n := range failed {
		r.Fail(code, n)
		r.Success -= n
	}
	// The shape of a log-normal distribution, by quantiles.
	const parts = 24
	left := count
	for i := range parts {
		n := count * uint64(i+1) / parts
		n -= count * uint64(i) / parts
		n = min(n, left)
		left -= n
		q := (float64(i) + 0.5) / parts
		d := time.Duration(float64(median) * math.Exp(spread*math.Sqrt2*math.Erfinv(2*q-1)))
		r.Latency.AddBucket(stats.Bucket(int64(d)), n, d*time.Duration(n), d)
	}
	return r
}

// texts of failures, by code.
func texts() map[uint32]string {
	return map[uint32]string{
		1:    "payment provider: no answer within 3 s",
		4290: "order 81723: the stock has changed",
		500: "panic: index out of range [3] with length 3\n\ngoroutine 88 [running]:\n" +
			"main.place(...)\n\torders/place.go:71 +0x1d4",
	}
}

// remember fills a keeper with a day of calls up to now. An incident is 25 minutes old.
func remember(t *testing.T, k *keep.Keeper, now time.Time) {
	t.Helper()
	s, random := newSender(t, k), mathrand.New(mathrand.NewPCG(1, 2))
	first := now.Add(-24 * time.Hour).Add(3 * time.Minute).Truncate(time.Minute)
	for at := first; !at.After(now); at = at.Add(time.Minute) {
		ago, part := int(now.Sub(at)/time.Minute), min(float64(now.Sub(at))/float64(time.Minute), 1) // of the minute
		day := 1 + 0.42*math.Sin(2*math.Pi*float64(at.Unix()%86400)/86400-2)
		var rows []stats.Row
		var failures []stats.Failure
		for _, l := range loads() {
			n := l.minute * day * part * (0.94 + 0.12*random.Float64())
			count := uint64(n)
			if random.Float64() < n-math.Floor(n) {
				count++
			}
			if count == 0 || l.module == "orders" && ago > 540 && ago < 562 {
				continue
			}
			failed, slow := failuresOf(l, ago, count, random), 1.0
			if l.module == "orders" && ago >= 21 && ago <= 27 {
				slow = 7 + random.Float64()*3
			}
			rows = append(rows, rowOf(l.module, l.iface, count, failed, time.Duration(float64(l.median)*slow), 0.75))
			for code, n := range failed {
				for i := range n {
					failures = append(failures, stats.Failure{
						Time:   at.Add(time.Duration(random.IntN(60_000)) * time.Millisecond),
						Module: l.module, Interface: l.iface, Code: code, Text: texts()[code],
						Addr: fmt.Sprintf("192.0.2.%d:%d", 10+(ago+int(i)*7)%200, 40000+random.IntN(20000)),
					})
				}
			}
		}
		s.send(at, fmt.Sprintf("worker-%d", 1+ago%3), rows, failures)
	}
	s.done()
}

// failuresOf returns how many of the calls of a minute failed, by code.
func failuresOf(l load, ago int, count uint64, random *mathrand.Rand) map[uint32]uint64 {
	rate := 0.000004
	switch {
	case l.module == "orders" && ago >= 21 && ago <= 27:
		rate = 0.02 + 0.03*float64(min(ago-20, 28-ago))
	case l.module == "orders" && ago >= 310 && ago <= 330:
		rate = 0.004
	case l.module == "billing" && ago%400 < 3:
		rate = 0.013
	}
	failed := map[uint32]uint64{}
	for range int(float64(count)*rate + random.Float64()) {
		code := []uint32{4290, 4290, 4290, 1, 1, 500}[random.IntN(6)]
		failed[code]++
	}
	return failed
}
