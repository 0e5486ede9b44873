package bench_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/bench/report"
)

// This example makes 10,000 messages a second on a server on port 9000, from 1,000 connections.
func ExampleRun() {
	r, err := bench.Run(context.Background(), bench.Options{
		Mode: bench.Echo, Codec: bench.WebSocket, Targets: []string{"127.0.0.1:9000"},
		Conns: 1000, Rate: 10_000, Window: 30 * time.Second,
	}, func(m bench.Interval) { fmt.Printf("%.0f a second\n", m.Rate()) })
	if err != nil {
		log.Fatal(err)
	}
	if err := report.Text(os.Stdout, r); err != nil {
		log.Fatal(err)
	}
	if r.Verdict.Failed || r.Latency.P99 > 5000 {
		os.Exit(1)
	}
}
