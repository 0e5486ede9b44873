package bench_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/internal/proctest"
	"github.com/seed-7410fe32/sluice/worker"
)

// wrongWorker is the bench's worker with one fault. wrong causes it, and reports that it did.
func wrongWorker(wrong func(c worker.Call, verb byte, m worker.Message) bool) worker.Middleware {
	return func(h worker.Handler) worker.Handler {
		right := h.Message
		h.Message = func(ctx context.Context, c worker.Call, m worker.Message) error {
			if wrong(c, m.Data[0], m) {
				return nil
			}
			return right(ctx, c, m)
		}
		return h
	}
}

// answered sends a message back if it should, and does nothing else.
func answered(is bool, c worker.Call, m worker.Message) bool {
	if is {
		c.Send(m)
	}
	return is
}

// TestChatAudit has workers with one fault. The audit must find it although users come and go.
func TestChatAudit(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	var third atomic.Int32
	for name, c := range map[string]struct {
		wrong func(c worker.Call, verb byte, m worker.Message) bool
		want  func(a bench.Audit) bool
	}{
		"a message to the room is lost": {
			func(_ worker.Call, verb byte, _ worker.Message) bool { return verb == 'r' && third.Add(1) == 3 },
			func(a bench.Audit) bool { return a.Lost > 0 },
		},
		"a whisper reaches nobody else": {
			func(c worker.Call, verb byte, m worker.Message) bool { return answered(verb == 'w', c, m) },
			func(a bench.Audit) bool { return a.Lost > 0 },
		},
		"who leaves stays": {
			func(c worker.Call, verb byte, m worker.Message) bool { return answered(verb == 'l', c, m) },
			func(a bench.Audit) bool { return a.Unexpected > 0 && a.Lost == 0 },
		},
		"who has left does not come in again": {
			func(c worker.Call, verb byte, m worker.Message) bool {
				if verb == 'l' {
					c.MergeAttrs(map[string]string{"left": "once"})
				}
				_, been := c.Attr("left")
				return answered(verb == 'j' && been, c, m)
			},
			func(a bench.Audit) bool { return a.Lost > 0 },
		},
		"a leave is not answered": {
			func(_ worker.Call, verb byte, _ worker.Message) bool { return verb == 'l' },
			func(a bench.Audit) bool { return a.Unanswered > 0 },
		},
		"nothing": {
			func(worker.Call, byte, worker.Message) bool { return false },
			bench.Audit.Clean,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := proctest.Start(t, nil, bin, "gateway", "--listen", "frame://127.0.0.1:0", "--inner", "127.0.0.1:0")
			w, err := worker.New(worker.Config{Gateways: []string{g.Addrs["inner"]}},
				worker.Chain(bench.Worker(), wrongWorker(c.wrong)))
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- w.Run(ctx) }()
			defer func() {
				stop()
				if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			}()
			o := short(bench.Options{
				Mode: bench.Chat, Codec: bench.Frame, Rate: 2000, RoomSize: 8, Drain: 5 * time.Second,
				Targets: []string{g.Addrs["frame"]},
			})
			if name != "nothing" {
				o.Drain = 200 * time.Millisecond
			}
			r, err := bench.Run(t.Context(), o, nil)
			// On a busy machine there may be no message, or nobody for whom the worker is wrong.
			for err == nil && (r.Messages == 0 || name != "nothing" && r.Audit.Clean()) && o.Window < 5*time.Second {
				o.Window *= 3
				r, err = bench.Run(t.Context(), o, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
			if !c.want(r.Audit) || r.Verdict.Failed == r.Audit.Clean() {
				t.Errorf("%+v %+v", r.Audit, r.Verdict)
			}
			if a := r.Actions; a.Said == 0 || a.Whispered == 0 || a.Left == 0 {
				t.Errorf("%+v", a)
			}
		})
	}
}
