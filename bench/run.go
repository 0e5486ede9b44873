package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sync/errgroup"

	"github.com/seed-7410fe32/sluice/internal/backoff"
	"github.com/seed-7410fe32/sluice/internal/build"
	"github.com/seed-7410fe32/sluice/internal/procfs"
)

type run struct {
	opts       Options
	watch      func(Interval)
	parts      []part
	report     *Report
	began      time.Time
	processors map[int]bool // usableProcessors; empty if they are not known
	last       reading

	latency, lateness *hdrhistogram.Histogram // of what was due in the window, from all samples
}

// reading is all counters at a moment.
type reading struct {
	at      time.Duration // since the start of the run
	tally   tally
	servers []usage       // of opts.PIDs
	own     usage         // of all generators
	mine    time.Duration // CPU time of the generators and of this process
	machine procfs.Spent
}

// closeWithin bounds the end of the generators.
const closeWithin = 10 * time.Second

// auditEvery is how often the accounts are checked while messages are in flight.
const auditEvery = 10 * time.Millisecond

// generatorName is the name of the generator in Interval.CPU and Report.Own.
const generatorName = "generator"

// Run makes the load and reports on it. It calls watch, unless that is nil, with each interval when
// it ends, on its own goroutine. Without targets it starts servers and stops them. Bad options are
// ErrOptions, before anything is started.
//
// There is a report whatever its verdict is; an error says why there is none. Both are returned if
// ctx or a started server ends in the window: then the report covers the time until then. Both are
// also returned if such a server fails after the run. After the window ctx ends nothing: messages
// in flight are waited for.
func Run(ctx context.Context, o Options, watch func(Interval)) (_ *Report, err error) {
	defer func() {
		if err != nil && ctx.Err() != nil { // errors of interrupted servers and generators are not of interest
			err = fmt.Errorf("bench: interrupted: %w", ctx.Err())
		}
	}()
	o.defaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	load, end := context.WithCancelCause(ctx)
	defer end(nil)
	unreachable, err := resolve(load, &o)
	if err != nil {
		return nil, err
	}
	if err := o.reach(); err != nil {
		return nil, err
	}
	servers, err := startServers(&o, end)
	defer func() { err = errors.Join(err, servers.stop()) }()
	if err != nil {
		return nil, err
	}
	r := &run{
		opts: o, watch: watch, began: time.Now(), processors: usableProcessors(o.PIDs),
		latency: newHistogram(), lateness: newHistogram(),
	}
	r.report = &Report{
		Format: Format, Label: o.Label, Started: r.began.UTC().Round(time.Millisecond), Version: build.Version(),
		Command: append([]string{filepath.Base(os.Args[0])}, os.Args[1:]...), Machine: machine(), Options: o,
		Unreachable: unreachable,
	}
	r.parts, err = newParts(o, r.began)
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWithin)
		defer cancel()
		for _, p := range r.parts {
			err = errors.Join(err, p.close(ctx))
		}
	}()
	if err != nil {
		return nil, err
	}
	if err := r.measure(load); err != nil {
		return nil, fmt.Errorf("%w%s", err, servers.lastLog())
	}
	r.report.judge()
	if r.report.Interrupted {
		err = context.Cause(load)
	}
	return r.report, err
}

// newParts returns a generator in this process, or agents. The caller
// closes them, also after an error.
func newParts(o Options, began time.Time) (parts []part, err error) {
	if o.Processes == 1 {
		g, err := newGenerator(o, 0, uint32(o.Conns), began)
		if err != nil {
			return nil, err
		}
		return []part{g}, nil
	}
	program, err := o.Servers.program()
	if err != nil {
		return nil, err
	}
	for i := range o.Processes {
		s := share{Options: o, First: o.border(i), End: o.border(i + 1), Began: began.UnixMicro()}
		a, err := startAgent(program, s)
		if err != nil {
			return parts, err
		}
		parts = append(parts, a)
	}
	return parts, nil
}

// measure opens the connections, warms up, measures the window and closes the accounts.
func (r *run) measure(ctx context.Context) error {
	before := r.usages()
	if _, err := r.ask(ctx, question{Do: doOpen}); err != nil {
		return err
	}
	slow, err := openSlow(ctx, r.opts, r.began)
	defer slow.stop()
	if err != nil {
		return err
	}
	if _, err := r.read(); err != nil {
		return err
	}
	from := r.last.at + r.opts.Warmup
	start := question{Do: doStart, From: from.Microseconds(), Until: (from + r.opts.Window).Microseconds()}
	if _, err := r.ask(context.Background(), start); err != nil {
		return err
	}
	slow.start()
	if r.opts.Warmup > 0 {
		if err := r.phase(ctx, r.opts.Warmup, from); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	first := r.last
	if err := r.phase(ctx, r.opts.Window, first.at); err != nil {
		return err
	}
	r.report.Interrupted = ctx.Err() != nil
	r.report.SlowReaders = slow.stop()
	if err := r.settle(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	end, err := r.sample() // latencies of what arrived after the window
	if err != nil {
		return err
	}
	r.report.Unsent = end.Tally.Unsent
	r.count(first)
	r.use(before, first)
	r.report.Foreign = r.foreign(first)
	return nil
}

// phase follows a part of the run of this length, and takes a reading about once a
// second, also when ctx ends. window is when the window begins; intervals of the
// warm-up end there at the latest.
func (r *run) phase(ctx context.Context, length, window time.Duration) error {
	end := r.last.at + length
	for n := max(int(math.Ceil(length.Seconds())), 4); ; n-- { // parts of what is left
		last := r.last
		backoff.Sleep(ctx, last.at+(end-last.at)/time.Duration(n)-time.Since(r.began))
		latency, err := r.read()
		if err != nil {
			return err
		}
		m := r.interval(last, latency)
		if m.At = (r.last.at - window).Seconds(); last.at < window {
			m.At = min(m.At, 0)
		}
		r.report.Timeline = append(r.report.Timeline, m)
		if r.watch != nil {
			r.watch(m)
		}
		if n == 1 || r.last.at >= end || ctx.Err() != nil {
			return nil
		}
	}
}

// read takes a reading, and returns the latencies since the last one.
func (r *run) read() (latency *hdrhistogram.Histogram, err error) {
	s, err := r.sample()
	if err != nil {
		return nil, err
	}
	now := reading{
		at:    max(time.Since(r.began), r.last.at+1), // no interval is empty
		tally: s.Tally, machine: procfs.SpentBy(r.processors), servers: r.usages(), own: s.Usage, mine: s.Usage.CPU,
	}
	if r.opts.Processes > 1 {
		now.mine += ownCPU()
	}
	r.last = now
	return s.Latency.h, nil
}

// interval returns what happened from a reading to the last one.
func (r *run) interval(since reading, latency *hdrhistogram.Histogram) Interval {
	seconds := (r.last.at - since.at).Seconds()
	t := r.last.tally.since(since.tally)
	m := Interval{
		Seconds: seconds, Messages: t.Messages, Sent: t.Sent, Errors: t.Failures, Open: t.Open,
		P50: latency.ValueAtQuantile(50), P99: latency.ValueAtQuantile(99), Max: latency.Max(),
		CPU: map[string]float64{generatorName: (r.last.own.CPU - since.own.CPU).Seconds() / seconds},
	}
	for i, p := range r.opts.PIDs {
		m.CPU[p.Name] = (r.last.servers[i].CPU - since.servers[i].CPU).Seconds() / seconds
	}
	return m
}

func (r *run) sample() (sample, error) {
	answers, err := r.ask(context.Background(), question{Do: doSample})
	if err != nil {
		return sample{}, err
	}
	sum := answers[0].Sample
	for _, a := range answers[1:] {
		sum.add(a.Sample)
	}
	r.latency.Merge(sum.Latency.h)
	r.lateness.Merge(sum.Lateness.h)
	return sum, nil
}

// usages returns what the servers have used. That of a server that has ended stays as it was.
func (r *run) usages() (servers []usage) {
	for i, p := range r.opts.PIDs {
		u := usage{CPU: procfs.CPUTime(p.PID), RSS: uint64(procfs.Resident(p.PID))}
		if r.last.servers != nil {
			last := r.last.servers[i]
			zombie := u.RSS == 0 && last.RSS > 0
			if last.Ended || zombie || !procfs.Exists(p.PID) {
				u = last
				u.Ended = true
			}
		}
		servers = append(servers, u)
	}
	return servers
}

// count enters what was counted in the window, which began with the first reading.
func (r *run) count(first reading) {
	rep, s := r.report, r.last.tally.since(first.tally)
	rep.Seconds = (r.last.at - first.at).Seconds()
	rep.Messages, rep.Bytes, rep.Opened = s.Messages, s.Bytes, r.opts.Conns
	if r.opts.Mode == Idle {
		rep.Messages = uint64(s.Open)
	}
	rep.Rate, rep.Sent = float64(s.Messages)/rep.Seconds, float64(s.Sent)/rep.Seconds
	if r.opts.shortLived() && r.opts.Rate == 0 {
		rep.Sent = 0
	}
	rep.Offered = r.opts.Rate
	if r.opts.Mode == Chat {
		rep.Actions = &s.Actions
	}
	rep.Latency, rep.Lateness = latencyOf(r.latency), latencyOf(r.lateness)
}

// use enters what each process used in the window.
func (r *run) use(before []usage, first reading) {
	of := func(name string, pid int, was, is usage) ProcessUsage {
		u := ProcessUsage{Name: name, PID: pid, CPU: (is.CPU - was.CPU).Seconds(), RSS: is.RSS}
		u.Cores = u.CPU / r.report.Seconds
		switch {
		case r.opts.Mode == Idle:
			u.PerConnSecond = u.Cores * 1e6 / float64(r.report.Opened)
		case r.report.Messages > 0:
			u.PerMessage = u.CPU * 1e6 / float64(r.report.Messages)
		}
		return u
	}
	for i, p := range r.opts.PIDs {
		u := of(p.Name, p.PID, first.servers[i], r.last.servers[i])
		u.RSSBefore = before[i].RSS
		if !r.opts.shortLived() {
			u.PerConn = max(float64(u.RSS)-float64(u.RSSBefore), 0) / float64(r.report.Opened)
		}
		r.report.Servers = append(r.report.Servers, u)
	}
	r.report.Own = of(generatorName, 0, first.own, r.last.own)
	r.report.Own.CoresLimit = float64(r.opts.Loops * r.opts.Processes)
}

// settle stops the load, waits up to Options.Drain for messages in flight, and enters the audit.
func (r *run) settle(ctx context.Context) error {
	halted, err := r.ask(context.Background(), question{Do: doHalt})
	if err != nil {
		return err
	}
	var sent []uint32
	for _, a := range halted {
		sent = append(sent, a.Sent...)
	}
	ctx, cancel := context.WithTimeout(ctx, r.opts.Drain)
	defer cancel()
	for {
		answers, err := r.ask(context.Background(), question{Do: doAudit, Sent: sent})
		if err != nil {
			return err
		}
		total := audited{Errors: make(map[string]ErrorCount)}
		for _, a := range answers {
			total.add(a.Audited)
		}
		if total.settled() || ctx.Err() != nil {
			r.report.Audit, r.report.Errors = total.Audit, append(total.errors(), r.ended()...)
			return nil
		}
		backoff.Sleep(ctx, auditEvery)
	}
}

// ended returns an error for each server that has ended.
func (r *run) ended() (all []ErrorCount) {
	for i, u := range r.last.servers {
		if u.Ended {
			p := r.opts.PIDs[i]
			example := fmt.Sprintf("%s, process %d: its figures are those of its last whole interval", p.Name, p.PID)
			all = append(all, ErrorCount{Kind: "ended", Count: 1, Example: example})
		}
	}
	return all
}

// ask asks all parts at once. The answers are in their order.
func (r *run) ask(ctx context.Context, q question) ([]answer, error) {
	var all errgroup.Group
	answers := make([]answer, len(r.parts))
	for i, p := range r.parts {
		all.Go(func() (err error) {
			answers[i], err = p.ask(ctx, q)
			return err
		})
	}
	return answers, all.Wait()
}
