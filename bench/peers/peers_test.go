package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/bench"
)

// TestMain makes this test binary a server if a measurement starts it.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		main()
		return
	}
	os.Exit(m.Run())
}

// shortOne is a measurement that only checks that everything works.
func shortOne(t *testing.T) measurement {
	return measurement{short: true, rounds: 1, loops: "auto", out: t.TempDir(), scripts: "node", sluice: "not built"}
}

// TestPeers runs every scenario against every peer: messages must come
// back, and the audit must be clean.
func TestPeers(t *testing.T) {
	t.Parallel()
	m := shortOne(t)
	var err error
	if m.sluice, err = buildSluice(t.Context(), t.TempDir()); err != nil {
		t.Fatal(err)
	}
	for _, p := range peers() {
		t.Run(p.name, func(t *testing.T) {
			if why := m.missing(p); why != "" {
				if os.Getenv("CI") == "true" {
					t.Fatalf("%s: CI must have it", why)
				}
				t.Skipf("NOT TESTED: %s", why)
			}
			t.Parallel()
			for _, s := range m.scenarios() {
				if s.Mode == bench.Broadcast && !p.fansOut {
					continue
				}
				r := m.one(t.Context(), p, s)
				if !r.ok() {
					t.Fatalf("%+v", r)
				}
				a := r.Report.Audit
				if a.Expected == 0 || a.Received != a.Expected || !a.Clean() {
					t.Errorf("%s: %+v", s.name, a)
				}
				if s.Mode == bench.Broadcast && r.Report.Messages < uint64(s.Conns) {
					t.Errorf("%d deliveries to %d clients", r.Report.Messages, s.Conns)
				}
			}
		})
	}
}

// TestFailedPeer has a server that does not start beside one that works. The table and the exit
// code show the failure, and the figures of the other are there.
func TestFailedPeer(t *testing.T) {
	t.Parallel()
	m := shortOne(t)
	m.peers = []peer{
		// The process that is to serve knows no peer of this name.
		{name: "broken", codec: bench.WebSocket, serve: func(context.Context, site) error { return nil }},
		{name: floor, codec: bench.Text, serve: serveGnet},
	}
	if err := m.measure(t.Context()); !errors.Is(err, errFailed) {
		t.Errorf("%v", err)
	}
	all, err := readRecords(m.file(runsName))
	if err != nil || len(all) != 2 || all[0].Failed == "" || !all[1].ok() {
		t.Fatalf("%v %+v", err, all)
	}
	m.add = true
	if err := m.measure(t.Context()); !errors.Is(err, errFailed) {
		t.Errorf("%v", err)
	}
	all, err = readRecords(m.file(runsName))
	if err != nil || len(all) != 4 || all[3].Round != 2 {
		t.Errorf("a round was to be added: %v %+v", err, all)
	}
}

// madeUp is a record with these figures.
func madeUp(name, scenario string, round int, cpu float64) record {
	return record{Peer: name, Version: "v1", Scenario: scenario, Round: round, Loops: "auto", Report: &bench.Report{
		Options: bench.Options{Conns: 1000, Size: 128, Window: time.Second},
		Servers: []bench.ProcessUsage{{PerMessage: cpu / 2, PerConn: 600}, {PerMessage: cpu / 2, PerConn: 400}},
		Rate:    1000, Latency: bench.Latency{P50: 1000, P99: 2000},
	}}
}

// TestTable has three rounds of the floor, of sluice, and of a peer that failed once. Ratios are
// to the floor measured just before, and better peers are named.
func TestTable(t *testing.T) {
	t.Parallel()
	var all []record
	for round, floorCost := range []float64{10, 20, 30} { // the machine was not equally fast
		all = append(all, madeUp(floor, echo1, round+1, floorCost), madeUp("sluice", echo1, round+1, floorCost*1.5))
		// It was not equally fast within a round either.
		all = append(all, madeUp(floor, echo1, round+1, floorCost*2), madeUp("gws", echo1, round+1, floorCost*2*3))
	}
	all = append(all,
		record{Peer: "gws", Scenario: echo1, Round: 4, Failed: "it | broke\nin two"},
		record{Peer: "node-ws", Scenario: echo1, Round: 1, Skipped: "there is no Node.js"},
		madeUp("sluice", idle, 1, 0), madeUp("gws", idle, 1, 0))
	c := summarize(all)[[2]string{echo1, "sluice"}]
	got := c.cost() + ", " + c.spread() + ", " + c.speed()
	if len(c.runs) != 3 || got != "30.0 µs (1.50), 1.50–1.50, 1k/s, 1.0 and 2.0 ms" {
		t.Errorf("%d runs: %s", len(c.runs), got)
	}
	m := measurement{out: t.TempDir()}
	if err := m.writeTable(all); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(m.file(tableName))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| sluice | v1 | 2 | 30.0 µs (1.50) | – | – | 1.0 KB |",
		"| gws | v1 | 1 | 120.0 µs (3.00); once failed: it / broke in two |",
		"| there is no Node.js |",
		"- 1 in flight: gnet (sluice needs 1.20 times as much)\n",
		"- idle connection: none of these\n",
		"1000 connections, payloads of 128 bytes, 1s measured each time",
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %q in\n%s", want, b)
		}
	}
}

// TestKept makes the tables of the kept runs again, and compares them with those in docs/runs/peers
// and docs/performance.md.
func TestKept(t *testing.T) {
	t.Parallel()
	const kept = "../../docs/runs/peers/"
	all, err := readRecords(kept + runsName)
	if err != nil || len(all) == 0 {
		t.Fatal(len(all), err)
	}
	m := measurement{out: t.TempDir()}
	if err := m.writeTable(all); err != nil {
		t.Fatal(err)
	}
	var tables [3]string
	for i, name := range []string{m.file(tableName), kept + tableName, "../../docs/performance.md"} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		tables[i] = string(b)
	}
	if tables[0] != tables[1] {
		t.Errorf("the runs make\n%s", tables[0])
	}
	for _, p := range peers() {
		c := summarize(all)
		of := func(scenario string) cell { return c[[2]string{scenario, p.name}] }
		fan, _, _ := strings.Cut(of(fanout).cost(), " (")
		row := fmt.Sprintf("| %d | %s | %s | %s | %s |", p.hops, of(echo1).cost(), of(echo16).cost(), fan, of(idle).memory())
		if !strings.Contains(tables[2], row) {
			t.Errorf("docs/performance.md has no row of %s with %s", p.name, row)
		}
	}
	if !strings.Contains(tables[2], "go run . -loops 1 -rounds 2\n") {
		t.Error("docs/performance.md has not the command of the runs")
	}
}

// TestInTurn repeats the floor after every third peer.
func TestInTurn(t *testing.T) {
	t.Parallel()
	m := measurement{peers: peers()[:6]}
	var names []string
	for _, p := range m.inTurn(scenario{}) {
		names = append(names, p.name)
	}
	if got := strings.Join(names, " "); got != "gnet gnet-ws sluice-text sluice gnet gws nbio" {
		t.Error(got)
	}
	if turn := m.inTurn(scenario{once: true}); len(turn) != 6 {
		t.Errorf("%d for what is measured once", len(turn))
	}
}

// TestChoose has the floor in every choice, and refuses an unknown name.
func TestChoose(t *testing.T) {
	t.Parallel()
	chosen, err := choose("gws,sluice")
	if err != nil || len(chosen) != 3 || chosen[0].name != floor {
		t.Errorf("%v, %v", chosen, err)
	}
	if _, err := choose("gws,qws"); err == nil || !strings.Contains(err.Error(), `"qws"`) {
		t.Errorf("%v", err)
	}
}

// TestEchoFrame cuts frames of every length encoding anywhere: nothing is returned before the
// frame is complete, then the same frame unmasked.
func TestEchoFrame(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 7, 8, 125, 126, 65535, 65536} {
		payload := []byte(strings.Repeat("sluice!", size/7+1)[:size])
		head := []byte{0x82, byte(size)}
		switch {
		case size > 65535:
			head = []byte{0x82, 127, 0, 0, 0, 0, 0, byte(size >> 16), byte(size >> 8), byte(size)}
		case size > 125:
			head = []byte{0x82, 126, byte(size >> 8), byte(size)}
		}
		want := string(head) + string(payload)
		key := []byte{1, 2, 3, 4}
		masked := append([]byte(nil), payload...)
		unmask(masked, key)
		head[1] |= 0x80
		in := append(append(head, key...), masked...)
		for cut := range min(len(in), 300) {
			if out, n, err := echoFrame(nil, in[:cut]); len(out) != 0 || n != 0 || err != nil {
				t.Fatalf("%d of %d bytes: %d, %v", cut, len(in), n, err)
			}
		}
		if out, n, err := echoFrame(nil, append(in, "next"...)); string(out) != want || n != len(in) || err != nil {
			t.Errorf("size %d: %d bytes taken of %d, %v", size, n, len(in), err)
		}
	}
	if _, _, err := echoFrame(nil, []byte{0x82, 0x01, 'x'}); err == nil {
		t.Error("an unmasked frame was taken")
	}
}

// TestLoops parses numbers of event loops.
func TestLoops(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"1": "1 <nil>", "0": "bad", "many": "bad"} {
		n, err := parseLoops(in)
		got := fmt.Sprint(n, " ", err)
		if err != nil {
			got = "bad"
		}
		if got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
}
