package bench

import (
	"strings"
	"testing"
	"time"
)

// TestJudge has made-up reports of which one thing is not as it should be. The machine has 4 processors and the generator 2 loops.
func TestJudge(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change        func(*Report)
		valid, failed bool
		reason        string // a part of the only one
	}{
		"all is well":                   {func(*Report) {}, true, false, ""},
		"busy loops, nearly":            {func(r *Report) { r.Own.Cores = 1.8 }, true, false, ""},
		"busy loops":                    {func(r *Report) { r.Own.Cores = 1.81 }, false, false, "1.81 cores busy with 2 loops"},
		"a full machine, by the server": {func(r *Report) { r.Own.Cores, r.Servers[0].Cores = 1.5, 2.4 }, true, false, ""},
		"a full machine":                {func(r *Report) { r.Own.Cores, r.Servers[0].Cores, r.Own.CoresLimit = 2.4, 1.5, 4 }, false, false, "62 % of it"},
		"late":                          {func(r *Report) { r.Lateness.P50 = 1001 }, false, false, "1001 µs late"},
		"late in a closed loop":         {func(r *Report) { r.Lateness.P50, r.Offered = 1001, 0 }, true, false, ""},
		"too little sent":               {func(r *Report) { r.Sent = 940 }, false, false, "1000 messages a second were due, and 940 were sent: the generator"},
		"nobody free in a chat":         {func(r *Report) { r.Sent, r.Options.Mode = 500, Chat }, false, false, "nobody was free"},
		"one lost":                      {func(r *Report) { r.Audit.Lost = 1 }, true, true, "1 lost"},
		"one duplicated":                {func(r *Report) { r.Audit.Duplicated = 1 }, true, true, "1 duplicated"},
		"one reordered":                 {func(r *Report) { r.Audit.Reordered = 1 }, true, true, "1 reordered"},
		"one changed":                   {func(r *Report) { r.Audit.Changed = 1 }, true, true, "1 changed"},
		"one unexpected":                {func(r *Report) { r.Audit.Unexpected = 1 }, true, true, "1 unexpected"},
		"a connection closed":           {func(r *Report) { r.Errors = []ErrorCount{{"closed", 3, "EOF"}} }, true, true, "3 × closed: EOF"},
		"nothing arrived":               {func(r *Report) { r.Messages = 0 }, true, true, "nothing arrived"},
		"interrupted":                   {func(r *Report) { r.Interrupted = true }, true, false, "after 1.0 of 10.0 s"},
	} {
		r := &Report{
			Machine: Machine{CPUs: 4}, Options: Options{Mode: Echo, Window: 10 * time.Second}, Audit: Audit{Expected: 1000, Received: 1000}, Seconds: 1, Messages: 1000,
			Offered: 1000, Sent: 1000, Lateness: Latency{P50: 50}, Servers: []ProcessUsage{{Cores: 1}}, Own: ProcessUsage{Cores: 1, CoresLimit: 2},
		}
		c.change(r)
		r.judge()
		if v := r.Verdict; v.Valid != c.valid || v.Failed != c.failed || strings.Join(v.Reasons, "\n") != "" != (c.reason != "") || !strings.Contains(strings.Join(v.Reasons, "\n"), c.reason) || len(v.Reasons) > 1 {
			t.Errorf("%s: %+v", name, v)
		}
	}
}
