package worker

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// However long a gateway was away, it is dialled again within a second, and workers do not dial in
// lockstep.
func TestRetryDelay(t *testing.T) {
	t.Parallel()
	const most = time.Second
	for failures := range 100 {
		least, longest := most, time.Duration(0)
		for range 200 {
			d := retryDelay(failures)
			least, longest = min(least, d), max(longest, d)
		}
		if least <= 0 || longest > most {
			t.Fatalf("after %d failures: between %v and %v", failures, least, longest)
		}
		if longest < 2*least {
			t.Errorf("after %d failures: no more jitter than %v to %v", failures, least, longest)
		}
		if failures == 0 && longest > 100*time.Millisecond {
			t.Errorf("a link that was just lost is dialled after up to %v", longest)
		}
		if failures > 10 && longest < most/2 {
			t.Errorf("after %d failures: at most %v", failures, longest)
		}
	}
}

// A worker that cannot reach its gateway logs so at once, and then every 10 s, not at each attempt.
func TestWaitingForAGatewayIsNotLoggedEachTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		dials := 0
		w, err := New(Config{
			Gateways: []string{"gateway:2300"}, Logger: slog.New(slog.NewTextHandler(&log, nil)),
			Dial: func(context.Context, string) (net.Conn, error) { dials++; return nil, errors.New("refused") },
		}, Handler{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := w.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if lines := strings.Count(log.String(), "link to the gateway failed"); dials < 60 || lines < 2 || lines > 7 {
			t.Errorf("%d dials, %d lines:\n%s", dials, lines, &log)
		}
	})
}
