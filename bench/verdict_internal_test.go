package bench

import (
	"strings"
	"testing"
	"time"
)

// TestJudge has reports with one thing wrong. The machine has 4
// processors and the generator 2 loops.
func TestJudge(t *testing.T) {
	t.Parallel()
	closed := []ErrorCount{{"closed", 3, "EOF"}}
	busy := func(own ...float64) (all []Interval) {
		for _, cores := range own {
			all = append(all, Interval{Seconds: 1, CPU: map[string]float64{generatorName: cores, "server": 1}})
		}
		return all
	}
	cut := func(own ...float64) []Interval { // after the last, but one
		all := busy(own...)
		all[len(all)-2].Errors = 3
		return all
	}
	const limit, mayHave = "cores busy with 2 loops", "the server may have closed it for that reason"
	for name, c := range map[string]struct {
		change              func(*Report)
		valid, failed, ours bool
		reasons             string // a part of each, in turn, with ; between
	}{
		"all is well":        {func(*Report) {}, true, false, false, ""},
		"busy loops, nearly": {func(r *Report) { r.Own.Cores = 1.8 }, true, false, false, ""},
		"busy loops":         {func(r *Report) { r.Own.Cores = 1.81 }, false, false, false, "1.81 cores busy with 2 loops"},
		"a full machine, by the server": {
			func(r *Report) { r.Own.Cores, r.Servers[0].Cores = 1.5, 2.4 }, true, false, false, "",
		},
		"a full machine": {
			func(r *Report) { r.Own.Cores, r.Servers[0].Cores, r.Own.CoresLimit = 2.4, 1.5, 4 }, false, false, false,
			"62 % of it",
		},
		"late":                  {func(r *Report) { r.Lateness.P50 = 1001 }, false, false, false, "1001 µs late"},
		"late in a closed loop": {func(r *Report) { r.Lateness.P50, r.Offered = 1001, 0 }, true, false, false, ""},
		"too little sent": {
			func(r *Report) { r.Sent = 940 }, false, false, false,
			"1000 messages a second were due, and 940 were sent: the generator",
		},
		"one too few in a short window": {func(r *Report) { r.Sent, r.Seconds = 800, 0.005 }, true, false, false, ""},
		"two too few in a short window": {
			func(r *Report) { r.Sent, r.Seconds = 600, 0.005 }, false, false, false,
			"1000 messages a second were due, and 600 were sent",
		},
		"nobody free in a chat": {
			func(r *Report) { r.Sent, r.Options.Mode = 500, Chat }, false, false, false, "nobody was free",
		},
		"one lost": {func(r *Report) { r.Audit.Lost, r.Audit.Received = 1, 999 }, true, true, false, "1 lost"},
		"one duplicated": {
			func(r *Report) { r.Audit.Duplicated, r.Audit.Received = 1, 1001 }, true, true, false, "1 duplicated",
		},
		"one reordered": {func(r *Report) { r.Audit.Reordered = 1 }, true, true, false, "1 reordered"},
		"one changed":   {func(r *Report) { r.Audit.Changed = 1 }, true, true, false, "1 changed"},
		"one unexpected": {
			func(r *Report) { r.Audit.Unexpected, r.Audit.Received = 1, 1001 }, true, true, false, "1 unexpected",
		},
		"more sent than accounted for": {
			func(r *Report) { r.Audit.Sent = 1001 }, true, true, false, "1001 sent, and 1000 answers expected",
		},
		"one unanswered": {
			func(r *Report) { r.Audit.Unanswered = 1 }, true, true, false, "1 unanswered;1 connections never got their answer",
		},
		"the account does not add up": {
			func(r *Report) { r.Audit.Received = 1001 }, true, true, false, "1001 received are not 1000 expected - 0 lost",
		},
		"a connection closed": {func(r *Report) { r.Errors = closed }, true, true, false, "3 × closed: EOF"},
		"nothing arrived":     {func(r *Report) { r.Messages = 0 }, true, true, false, "nothing arrived"},
		"interrupted":         {func(r *Report) { r.Interrupted = true }, true, false, false, "after 1.0 of 10.0 s"},
		"interrupted at once": {
			func(r *Report) { r.Interrupted, r.Messages = true, 0 }, true, false, false, "after 1.0 of 10.0 s",
		},

		"what was due on a closed connection": {
			func(r *Report) { r.Errors, r.Sent, r.Unsent = closed, 600, 400 }, true, true, false,
			"3 × closed;400 messages were due and not sent",
		},
		"some of it, and the generator slow too": {
			func(r *Report) { r.Errors, r.Sent, r.Unsent = closed, 600, 200 }, false, true, false,
			"3 × closed;200 messages were due;the generator cannot",
		},

		"connections that nobody answered": {func(r *Report) {
			r.Options.Mode, r.Sent, r.Audit.Unanswered = Connect, 600, 400
		}, true, true, false, "400 unanswered;400 connections never"},
		"connections that could not be made": {func(r *Report) {
			r.Options.Mode, r.Sent, r.Errors = Connect, 600, []ErrorCount{{"dial", 300, "refused"}, {TurnedAway, 100, "503"}}
		}, true, true, false, "300 × dial;100 × turned away"},

		"other programs, a few": {func(r *Report) { r.Foreign = &Foreign{CPUs: 4, Cores: 0.4} }, true, false, false, ""},
		"other programs": {
			func(r *Report) { r.Foreign = &Foreign{CPUs: 4, Cores: 0.41} }, false, false, false, "0.41 of 4 processors busy",
		},
		"other programs, or the server": {
			func(r *Report) { r.Foreign = &Foreign{CPUs: 4, Cores: 3, Servers: true} }, true, false, false, "",
		},
		"stolen": {
			func(r *Report) { r.Foreign = &Foreign{CPUs: 4, Steal: 0.5, Servers: true} }, false, false, false,
			"0.50 of 4 processors were taken away",
		},
		"stolen, and other programs": {
			func(r *Report) { r.Foreign = &Foreign{CPUs: 8, Steal: 0.9, Cores: 0.9} }, false, false, false,
			"0.90 of 8 processors busy;0.90 of 8 processors were taken away",
		},
		"other programs, and a lost one": {
			func(r *Report) { r.Foreign, r.Audit.Lost, r.Audit.Received = &Foreign{CPUs: 4, Cores: 2}, 1, 999 }, false, true,
			false, "1 lost;2.00 of 4",
		},
		"on a machine of more processors": {
			func(r *Report) { r.Foreign = &Foreign{CPUs: 64, Cores: 6} }, true, false, false, "",
		},

		"busy before it was cut": {
			func(r *Report) { r.Errors, r.Timeline = closed, cut(0.5, 1.9, 1, 0.1) }, false, true, true,
			"3 × closed;when the first connection was closed, the generator kept 1.90 " + limit,
		},
		"no port left": {
			func(r *Report) { r.Errors = []ErrorCount{{Kind: "ports", Count: 1, Example: "none"}} }, false, true, true,
			"1 × ports: none;no local port left",
		},
		"busy as it was cut": {
			func(r *Report) { r.Errors, r.Timeline = closed, cut(0.5, 1.9, 0.1) }, false, true, true, "3 × closed;" + mayHave,
		},
		"busy long before it was cut": {
			func(r *Report) { r.Errors, r.Timeline = closed, cut(1.9, 0.5, 1, 0.1) }, true, true, false, "3 × closed",
		},
		"busy after it was cut": {
			func(r *Report) { r.Errors, r.Timeline = closed, cut(0.5, 1, 1.9) }, true, true, false, "3 × closed",
		},
		"busy, and nothing was cut": {func(r *Report) { r.Timeline = busy(1, 1.9, 1) }, true, false, false, ""},
		"a full machine as it was cut": {
			func(r *Report) { r.Errors, r.Timeline, r.Own.CoresLimit = closed, cut(1, 2.9, 1), 4 }, false, true, true,
			"3 × closed;the machine was full",
		},
		"cut at first, and busy all over": {
			func(r *Report) { r.Errors, r.Timeline, r.Own.Cores = closed, cut(1.9, 1.9), 1.9 }, false, true, true,
			"3 × closed;" + limit + ";" + mayHave,
		},
		"busy, for a moment": {
			func(r *Report) { r.Errors, r.Timeline = closed, cut(1, 1.9, 1); r.Timeline[1].Seconds = 0.1 }, true, true, false,
			"3 × closed",
		},
		"late, and cut": {
			func(r *Report) { r.Errors, r.Lateness.P50 = closed, 1001 }, false, true, true,
			"3 × closed;1001 µs late;behind its schedule",
		},
		"late, and not cut, but turned away": {
			func(r *Report) { r.Errors, r.Lateness.P50 = []ErrorCount{{TurnedAway, 3, "503"}}, 1001 }, false, true, false,
			"3 × turned away;1001 µs late",
		},
		"cut, and lost for that reason": {func(r *Report) {
			r.Errors, r.Timeline, r.Audit.Lost, r.Audit.Received = closed, cut(1.9, 1), 5, 995
		}, false, true, true, "5 lost;3 × closed;" + mayHave},
		"cut, and one was changed": {func(r *Report) {
			r.Errors, r.Timeline, r.Audit.Changed = closed, cut(1.9, 1), 1
		}, false, true, false, "1 changed;3 × closed;" + mayHave},
		"cut, and the server has ended": {func(r *Report) {
			r.Errors, r.Timeline = append(closed[:1:1], ErrorCount{"ended", 1, "server"}), cut(1.9, 1)
		}, false, true, false, "3 × closed;1 × ended;" + mayHave},
	} {
		r := &Report{
			Machine: Machine{CPUs: 4}, Options: Options{Mode: Echo, Window: 10 * time.Second},
			Audit: Audit{Sent: 1000, Expected: 1000, Received: 1000}, Seconds: 1, Messages: 1000, Offered: 1000, Sent: 1000,
			Lateness: Latency{P50: 50}, Servers: []ProcessUsage{{Cores: 1}}, Own: ProcessUsage{Cores: 1, CoresLimit: 2},
		}
		c.change(r)
		r.judge()
		v := r.Verdict
		if v.Valid != c.valid || v.Failed != c.failed || v.OwnFault != c.ours {
			t.Errorf("%s: %+v", name, v)
		}
		var want []string
		if c.reasons != "" {
			want = strings.Split(c.reasons, ";")
		}
		if len(v.Reasons) != len(want) {
			t.Errorf("%s: %d reasons, want %d: %q", name, len(v.Reasons), len(want), v.Reasons)
			continue
		}
		for i, reason := range v.Reasons {
			if !strings.Contains(reason, want[i]) {
				t.Errorf("%s: %q, want %q", name, reason, want[i])
			}
		}
	}
}

// TestBalanced has audits that add up, and some that do not.
func TestBalanced(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a    Audit
		want bool
	}{
		{Audit{}, true},
		{Audit{Expected: 10, Received: 10, Reordered: 2, Changed: 3}, true},
		{Audit{Expected: 10, Received: 9, Lost: 1}, true},
		{Audit{Expected: 10, Received: 13, Lost: 2, Duplicated: 4, Unexpected: 1}, true},
		{Audit{Received: 5, Unexpected: 5}, true},
		{Audit{Expected: 10, Received: 9}, false},
		{Audit{Expected: 10, Received: 11}, false},
		{Audit{Expected: 10, Received: 10, Lost: 1}, false},
		{Audit{Expected: 1, Lost: 2}, false},
	} {
		if got := c.a.Balanced(); got != c.want {
			t.Errorf("%+v: %v", c.a, got)
		}
	}
}
