package admin_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway/admin"
	"github.com/seed-7410fe32/sluice/internal/stats"
	"github.com/seed-7410fe32/sluice/internal/stats/keep"
)

// keeping returns a keeper in memory, and a change that makes an admin listener show it.
func keeping(t *testing.T) (k *keep.Keeper, change func(*admin.Config)) {
	t.Helper()
	k, err := keep.New(keep.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.Close() })
	return k, func(c *admin.Config) { c.Stats = k }
}

// sampleReport is a report of a node: 8 calls of chat/message of 1 ms each, 2 of which failed with
// code 7, and one call of chat/connect.
func sampleReport(seq uint64) *stats.Report {
	now := time.Now()
	r := &stats.Report{Source: [16]byte{1}, Seq: seq, Node: "n1", From: now, To: now, LostFailures: 3}
	r.Rows = []stats.Row{{Module: "chat", Interface: "message"}, {Module: "chat", Interface: "connect"}}
	for i := range 8 {
		r.Rows[0].Add(time.Millisecond, []uint32{0, 7}[i/6])
	}
	r.Rows[1].Add(2*time.Millisecond, 0)
	for i := range 2 {
		r.Failures = append(r.Failures, stats.Failure{Time: now.Add(time.Duration(i) * time.Millisecond), Module: "chat",
			Interface: "message", Code: 7, Addr: fmt.Sprintf("10.0.0.%d:50", i), Text: fmt.Sprintf("Wrong <b>%d</b>", i)})
	}
	return r
}

// batchOf encodes reports as a node sends them.
func batchOf(t *testing.T, reports ...*stats.Report) []byte {
	t.Helper()
	var batch []byte
	for _, r := range reports {
		b, err := stats.AppendReport(nil, r)
		if err != nil {
			t.Fatal(err)
		}
		batch = stats.AppendToBatch(batch, b)
	}
	return batch
}

// report posts a body as a node does, and returns the status.
func (f *fixture) report(body []byte, token string) (status int, answer string) {
	f.t.Helper()
	r, err := http.NewRequest(http.MethodPost, f.url+"/api/v1/stats/reports", bytes.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/octet-stream")
	status, _, answer = f.do(r)
	return status, answer
}

// What nodes report is what the API answers, once however often it was reported.
func TestStats(t *testing.T) {
	t.Parallel()
	_, change := keeping(t)
	f := start(t, change)
	for range 2 {
		if status, answer := f.report(batchOf(t, sampleReport(1), sampleReport(2)), secret); status != http.StatusNoContent {
			t.Fatalf("%d %s", status, answer)
		}
	}
	var all admin.Stats
	f.get("/api/v1/stats", &all)
	if len(all.Rows) != 2 || all.Rows[0].Interface != "connect" || all.Rows[1].Module != "chat" {
		t.Fatalf("%+v", all.Rows)
	}
	m := all.Rows[1]
	if m.Count != 16 || m.Success != 12 || len(m.Codes) != 1 || m.Codes[7] != 4 {
		t.Errorf("%+v", m)
	}
	if l := m.Latency; l.Mean != 0.001 || l.P50 < 0.001 || l.P99 > 0.001*17/16 || l.Max != 0.001 {
		t.Errorf("%+v", l)
	}
	f.get("/api/v1/stats?interface=connect&module=chat", &all)
	if len(all.Rows) != 1 || all.Rows[0].Count != 2 || len(all.Rows[0].Codes) != 0 {
		t.Errorf("%+v", all.Rows)
	}
	var series admin.StatsSeries
	f.get("/api/v1/stats/series?from=-10m", &series)
	count := uint64(0)
	for _, p := range series.Points {
		count += p.Count
	}
	if series.Step != 60 || len(series.Points) < 10 || len(series.Points) > 11 || count != 18 {
		t.Errorf("step %d, %d points, %d calls", series.Step, len(series.Points), count)
	}
	var modules admin.StatsModules
	f.get("/api/v1/stats/modules", &modules)
	if m := modules.Modules; len(m) != 1 || m[0].Module != "chat" || fmt.Sprint(m[0].Interfaces) != "[connect message]" {
		t.Errorf("%v", modules)
	}
	var info admin.StatsInfo
	f.get("/api/v1/stats/info", &info)
	if !info.Keeps || info.LostFailures != 6 || info.Failures != 4 || len(info.Nodes) != 1 || info.Nodes[0].Reports != 2 ||
		info.Nodes[0].Node != "n1" || info.Oldest == nil || info.Rows != 4 {
		t.Errorf("%+v", info)
	}
}

// The failure log is searched by each of its fields, and read page by page.
func TestStatsFailures(t *testing.T) {
	t.Parallel()
	_, change := keeping(t)
	f := start(t, change)
	first, second := sampleReport(1), sampleReport(2)
	second.Node = "n2"
	for i := range second.Failures {
		second.Failures[i].Time = first.Failures[i].Time
	}
	f.report(batchOf(t, first), secret)
	f.report(batchOf(t, second), secret)
	for query, want := range map[string]int{
		"": 4, "module=chat": 4, "module=cha": 0, "interface=message": 4, "interface=connect": 0, "code=7": 4, "code=0": 0,
		"addr=10.0.0.1": 2, "addr=10.0.0.1:50": 2, "addr=10.0.0": 0, "text=WRONG": 4, "text=" + url.QueryEscape("<B>1"): 2,
		"text=right": 0, "from=-1m": 4, "to=-1m&from=-2m": 0, "limit=3": 3,
	} {
		var page admin.StatsFailures
		f.get("/api/v1/stats/failures?"+query, &page)
		if len(page.Failures) != want {
			t.Errorf("%s: %d failures, want %d", query, len(page.Failures), want)
		}
	}
	var seen []string
	for query := "limit=1"; ; {
		var page admin.StatsFailures
		f.get("/api/v1/stats/failures?"+query, &page)
		for _, e := range page.Failures {
			seen = append(seen, e.Node+e.Addr)
		}
		if page.Next == "" {
			break
		}
		query = "limit=1&cursor=" + page.Next
	}
	if len(seen) != 4 || strings.Join(seen, " ") != "n210.0.0.1:50 n110.0.0.1:50 n210.0.0.0:50 n110.0.0.0:50" {
		t.Errorf("%q", seen)
	}
}

// A gateway that keeps nothing says so, and names the node that does.
func TestStatsElsewhere(t *testing.T) {
	t.Parallel()
	f := start(t, func(c *admin.Config) { c.StatsTo = "https://keeper:9090" })
	if status, answer := f.request("GET", "/api/v1/stats", ""); status != 501 || !strings.Contains(answer, "keeper:9090") {
		t.Errorf("%d %s", status, answer)
	}
	if status, _ := f.report(batchOf(t, sampleReport(1)), secret); status != 501 {
		t.Errorf("%d", status)
	}
	var info admin.StatsInfo
	f.get("/api/v1/stats/info", &info)
	if info.Keeps || info.StatsTo != "https://keeper:9090" {
		t.Errorf("%+v", info)
	}
}

// A batch with anything that is no report is refused as a whole. A token with the scope report may
// do nothing else.
func TestStatsReports(t *testing.T) {
	t.Parallel()
	k, change := keeping(t)
	const reporter = "another-token-of-sixteen-characters"
	f := start(t, func(c *admin.Config) {
		change(c)
		c.TokenFile = filepath.Join(t.TempDir(), "tokens")
		lines := "ops " + secret + "\nnode " + reporter + " report\n"
		if err := os.WriteFile(c.TokenFile, []byte(lines), 0o600); err != nil {
			t.Fatal(err)
		}
	})
	good := batchOf(t, sampleReport(1))
	for name, bad := range map[string][]byte{
		"nothing": nil, "short": good[:len(good)-1], "more": append(bytes.Clone(good), 0), "no report": {0, 0, 0, 1, 9},
	} {
		if status, answer := f.report(bad, reporter); status != 400 {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
	if status, _ := f.report(make([]byte, stats.MaxBatch+1), reporter); status != 413 {
		t.Errorf("a body that is too large: %d", status)
	}
	if status, answer := f.report(good, reporter); status != 204 || answer != "" {
		t.Errorf("%d %s", status, answer)
	}
	if n := k.Stats().Reports; n != 1 {
		t.Errorf("%d reports are kept, want 1", n)
	}
	r, err := http.NewRequest(http.MethodGet, f.url+"/api/v1/stats", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+reporter)
	if status, _, answer := f.do(r); status != 403 || !strings.Contains(answer, "read") {
		t.Errorf("%d %s", status, answer)
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	if status, answer := f.report(batchOf(t, sampleReport(2)), reporter); status != 503 {
		t.Errorf("%d %s", status, answer)
	}
}
