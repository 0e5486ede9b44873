package gateway_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// report sends a REPORT on a link.
func (w *fakeWorker) report(loop int, id uint32, payload []byte) {
	w.links[loop].write(&link.Frame{Type: link.Report, ID: id, Payload: payload})
}

// A report is acknowledged when OnStats has taken it, whichever link it came by, and each end of a
// call is counted.
func TestReports(t *testing.T) {
	t.Parallel()
	var taken atomic.Int64
	g, _ := start(t, gateway.Config{
		Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}}, Loops: 2,
		OnStats: func(ctx context.Context, report []byte) error {
			switch _, limited := ctx.Deadline(); {
			case !limited:
				return errors.New("no deadline")
			case string(report) == "fail":
				return errors.New(strings.Repeat("no room ", 100))
			case string(report) == "panic":
				panic("a bug")
			}
			taken.Add(int64(len(report)))
			return nil
		},
	})
	w := dialWorker(t, g.WorkerAddr(), nil, link.WorkerHello{Role: link.RoleWorker, Weight: 1, Window: 1 << 20})
	if !w.links[0].hello.Reports {
		t.Error("the hello does not say that the gateway takes reports")
	}
	most := bytes.Repeat([]byte("x"), link.MaxReport)
	for i, c := range []struct {
		report []byte
		status link.Status
		text   string
	}{
		{[]byte("figures"), link.OK, ""},
		{nil, link.OK, ""},
		{most, link.OK, ""},
		{append(most, 'x'), link.Refused, "1048577 bytes: must be at most 1048576"},
		{[]byte("fail"), link.Failed, "no room no room "},
		{[]byte("panic"), link.Failed, "panic: a bug"},
	} {
		w.report(i%2, uint32(i+1), c.report)
		f := w.replyTo(uint32(i + 1))
		if link.Status(f.Code) != c.status || !strings.HasPrefix(string(f.Payload), c.text) || len(f.Payload) > 500 ||
			c.text == "" && len(f.Payload) > 0 {
			t.Errorf("%.10q: %v %.60q", c.report, link.Status(f.Code), f.Payload)
		}
	}
	if s := g.Stats(); s.Reports != 3 || s.ReportsRejected != 1 || s.ReportErrors != 2 ||
		taken.Load() != int64(len("figures")+len(most)) {
		t.Errorf("took %d in %d bytes, rejected %d, errors %d", s.Reports, taken.Load(), s.ReportsRejected, s.ReportErrors)
	}
}

// A gateway without OnStats says so, and refuses reports.
func TestReportsWithoutOnStats(t *testing.T) {
	t.Parallel()
	g, _ := start(t, gateway.Config{Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}}})
	w := dialWorker(t, g.WorkerAddr(), nil, link.WorkerHello{Role: link.RoleWorker, Weight: 1, Window: 1 << 20})
	w.report(0, 1, []byte("x"))
	if f := w.replyTo(1); link.Status(f.Code) != link.Refused || w.links[0].hello.Reports {
		t.Errorf("%v %q, hello %v", link.Status(f.Code), f.Payload, w.links[0].hello.Reports)
	}
}

// The calls that run at a time are bounded, and so are their reports. A drain ends the context of
// those that remain.
func TestReportsAreBounded(t *testing.T) {
	t.Parallel()
	const calls, bytesOfAll, large = 64, 16 << 20, 1 << 20
	release := make(chan struct{}, calls)
	g, stop := start(t, gateway.Config{
		Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}},
		OnStats: func(ctx context.Context, _ []byte) error {
			select {
			case <-release:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	})
	w := dialWorker(t, g.WorkerAddr(), nil, link.WorkerHello{Role: link.RoleWorker, Weight: 1, Window: 1 << 20})
	refused := func(id uint32, payload []byte) {
		t.Helper()
		w.report(0, id, payload)
		if f := w.replyTo(id); link.Status(f.Code) != link.Refused {
			t.Errorf("report %d: %v", id, link.Status(f.Code))
		}
	}
	for i := range uint32(calls) {
		w.report(0, i+1, nil)
	}
	refused(calls+1, nil)
	for range calls {
		release <- struct{}{}
	}
	for i := range uint32(calls) {
		if f := w.replyTo(i + 1); link.Status(f.Code) != link.OK {
			t.Errorf("report %d: %v", i+1, link.Status(f.Code))
		}
	}
	for i := range uint32(bytesOfAll / large) {
		w.report(0, 100+i, make([]byte, large))
	}
	refused(200, []byte("x"))
	if s := g.Stats(); s.Reports != calls || s.ReportsRejected != 2 || s.ReportErrors != 0 {
		t.Errorf("took %d, rejected %d, errors %d", s.Reports, s.ReportsRejected, s.ReportErrors)
	}
	stop()
}
