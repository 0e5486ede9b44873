package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/internal/build"
	"github.com/seed-7410fe32/sluice/internal/childproc"
)

// measurement is what the command line asks for.
type measurement struct {
	peers   []peer
	rounds  int
	loops   string
	short   bool
	add     bool
	out     string
	sluice  string // the program
	scripts string
}

// A scenario is a load for every peer.
type scenario struct {
	name string
	bench.Options
	once bool // for each peer
}

// The names of the scenarios.
const (
	echo1  = "echo-1"
	echo16 = "echo-16"
	fanout = "fan-out"
	idle   = "idle"
)

// runWithin bounds a run, with the start and stop of the servers.
const runWithin = time.Minute

func (m *measurement) scenarios() []scenario {
	of := func(name string, mode bench.Mode, conns, inFlight int, warmup, window int) scenario {
		return scenario{name: name, once: mode == bench.Idle, Options: bench.Options{
			Mode: mode, Conns: conns, InFlight: inFlight, Size: 128, Loops: runtime.NumCPU(),
			Warmup: time.Duration(warmup) * time.Millisecond, Window: time.Duration(window) * time.Millisecond,
		}}
	}
	if m.short {
		return []scenario{of(echo16, bench.Echo, 20, 16, 50, 200), of(fanout, bench.Broadcast, 20, 2, 50, 200)}
	}
	return []scenario{
		of(echo1, bench.Echo, 1000, 1, 500, 2000), of(echo16, bench.Echo, 1000, 16, 500, 2000),
		of(fanout, bench.Broadcast, 1000, 8, 500, 2000), of(idle, bench.Idle, 5000, 1, 300, 700),
	}
}

// measure runs every scenario against every peer in turn, round after round, and writes the
// results. A run that fails is in the table and does not end the measurement.
func (m *measurement) measure(ctx context.Context) (err error) {
	var all []record
	if m.add {
		if all, err = readRecords(m.file(runsName)); err != nil {
			return err
		}
	}
	if m.short {
		m.rounds = min(m.rounds, 1)
	}
	if m.sluice == "" && m.rounds > 0 {
		dir, err := os.MkdirTemp("", "peers")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		if m.sluice, err = buildSluice(ctx, dir); err != nil {
			return err
		}
	}
	first := 1
	for _, r := range all {
		first = max(first, r.Round+1)
	}
	for round := first; round < first+m.rounds; round++ {
		all = m.round(ctx, round, all)
	}
	if err := errors.Join(ctx.Err(), writeRecords(m.file(runsName), all), m.writeTable(all)); err != nil {
		return err
	}
	if slices.ContainsFunc(all, func(r record) bool { return r.Failed != "" }) {
		return errFailed
	}
	return nil
}

// floorEvery is after how many other peers the floor is measured again: the speed of a shared
// machine changes within a minute.
const floorEvery = 3

// inTurn returns the peers in the order of a round, with the floor repeated.
func (m *measurement) inTurn(s scenario) (turn []peer) {
	at := slices.IndexFunc(m.peers, func(p peer) bool { return p.name == floor })
	for i, p := range m.peers {
		if others := i - at - 1; at >= 0 && others > 0 && others%floorEvery == 0 && !m.short && !s.once {
			turn = append(turn, m.peers[at])
		}
		turn = append(turn, p)
	}
	return turn
}

// round runs every scenario against every peer, and appends the results. It ends early with ctx.
func (m *measurement) round(ctx context.Context, round int, all []record) []record {
	for _, s := range m.scenarios() {
		for _, p := range m.inTurn(s) {
			had := slices.ContainsFunc(all, func(r record) bool { return r.Peer == p.name && r.Scenario == s.name })
			if ctx.Err() != nil || s.once && had || s.Mode == bench.Broadcast && !p.fansOut {
				continue
			}
			r := m.one(ctx, p, s)
			r.Round = round
			fmt.Fprintln(os.Stderr, r)
			all = append(all, r)
		}
	}
	return all
}

// one measures one peer once, with servers that it starts.
func (m *measurement) one(ctx context.Context, p peer, s scenario) record {
	r := record{Peer: p.name, Scenario: s.name, Loops: m.loops, Version: m.version(p)}
	if r.Skipped = m.missing(p); r.Skipped != "" {
		return r
	}
	ctx, cancel := context.WithTimeout(ctx, runWithin)
	defer cancel()
	report, err := m.load(ctx, p, s.Options)
	switch {
	case err != nil:
		r.Failed = err.Error()
	case report.Verdict.Failed:
		r.Failed = strings.Join(report.Verdict.Reasons, "; ")
	}
	if report != nil {
		report.Timeline = nil // it means nothing for such a short run
		report.Options.Servers.Binary = filepath.Base(report.Options.Servers.Binary)
	}
	r.Report = report
	return r
}

func (m *measurement) load(ctx context.Context, p peer, o bench.Options) (*bench.Report, error) {
	o.Codec, o.Path, o.Label = p.codec, p.path, p.name
	if p.isSluice() {
		o.Servers = bench.Servers{Binary: m.sluice, Reactors: m.loops}
		return bench.Run(ctx, o, nil)
	}
	if o.Envelope = p.echo; o.Mode == bench.Broadcast {
		o.Envelope = p.fanout
	}
	server, err := m.start(p)
	if err != nil {
		return nil, err
	}
	defer func() { _ = server.Stop() }() // its exit code does not matter
	o.Targets, o.PIDs = []string{server.Addrs[string(p.codec)]}, []bench.PID{{Name: p.name, PID: server.PID}}
	return bench.Run(ctx, o, nil)
}

// start starts the server of a peer: this program, or a script.
func (m *measurement) start(p peer) (*childproc.Process, error) {
	const anywhere = "127.0.0.1:0"
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "serve", p.name, "-listen", anywhere, "-loops", m.loops)
	if p.script != "" {
		cmd = exec.Command("node", p.script, anywhere)
		cmd.Dir = m.scripts
	}
	cmd.Stderr = os.Stderr
	return childproc.Start(cmd)
}

// missing says why the peer cannot be measured on this machine; empty if it can.
func (m *measurement) missing(p peer) string {
	if p.script == "" {
		return ""
	}
	if _, err := exec.LookPath("node"); err != nil {
		return "there is no Node.js"
	}
	if _, err := os.Stat(filepath.Join(m.scripts, "node_modules")); err != nil {
		return "its packages are not installed: run npm ci in the scripts' folder"
	}
	return ""
}

func (p peer) isSluice() bool { return p.serve == nil && p.script == "" }

// version returns the version of a peer: from the build of this program, from
// package.json, or from the sluice program.
func (m *measurement) version(p peer) string {
	if p.isSluice() {
		return build.Of(m.sluice)
	}
	if p.script != "" {
		var pkg struct{ Dependencies map[string]string }
		if b, err := os.ReadFile(filepath.Join(m.scripts, "package.json")); err == nil && json.Unmarshal(b, &pkg) == nil {
			return pkg.Dependencies[p.module]
		}
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Path == p.module {
				return d.Version
			}
		}
	}
	return ""
}

// buildSluice builds the program from the module that go.mod replaces.
func buildSluice(ctx context.Context, into string) (string, error) {
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/seed-7410fe32/sluice")
	root, err := list.Output()
	if err != nil {
		return "", fmt.Errorf("find sluice: %w", err)
	}
	bin := filepath.Join(into, "sluice")
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=auto", "-o", bin, ".")
	cmd.Dir = strings.TrimSpace(string(root))
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build sluice: %w\n%s", err, out)
	}
	return bin, nil
}
