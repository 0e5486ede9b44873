package keep

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/seed-7410fe32/sluice/internal/kv"
	"github.com/seed-7410fe32/sluice/internal/stats"
)

// Query selects calls.
type Query struct {
	Module, Interface string // empty: all
	// From and To bound the time. The beginning of From's period counts, and the end of To's.
	From, To time.Time
}

// maxPoints is the most points of a Series.
const maxPoints = 5000

// Errors of Series and Failures.
var (
	// ErrStep is returned for a step that the rows do not have.
	ErrStep = errors.New("step")
	// ErrCursor is returned for a cursor that is not of this Keeper.
	ErrCursor = errors.New("the cursor is not one of this server")
)

// Calls says how calls went.
type Calls struct {
	Count, Success uint64
	Codes          map[uint32]uint64 // failed calls, by code; nil if there are none
	// Latency is from a histogram: a quantile is at most a sixteenth more than the exact one.
	Mean, P50, P90, P95, P99, Max time.Duration
}

func callsOf(r *stats.Row) Calls {
	h := &r.Latency
	return Calls{
		Count: r.Count, Success: r.Success, Codes: maps.Clone(r.Codes), Mean: h.Mean(), P50: h.Quantile(0.5),
		P90: h.Quantile(0.9), P95: h.Quantile(0.95), P99: h.Quantile(0.99), Max: h.Max,
	}
}

// Row says how the calls of one interface went.
type Row struct {
	Module, Interface string
	Calls
}

// Point says how calls went from a time on, for a step.
type Point struct {
	Time time.Time
	Calls
}

// span is a query in whole periods.
type span struct {
	of       *kind
	from, to uint32 // minutes; to is not in it
}

// spanOf returns the rows that answer a query best. step is in minutes, or 0.
func (k *Keeper) spanOf(q *Query, step uint32) span {
	from, to := minuteOf(q.From), minuteOf(q.To.Add(time.Minute-1))
	k.known.RLock()
	fine := from >= max(k.oldest(&k.minutes), k.minutes.since) && (step == 0 || step%fiveMinutes != 0)
	k.known.RUnlock()
	s := span{&k.minutes, from, to}
	if !fine {
		s = span{&k.fives, from - from%fiveMinutes, (to + fiveMinutes - 1) / fiveMinutes * fiveMinutes}
	}
	if step > 0 {
		s.from -= s.from % step
		s.to = s.from + (s.to-s.from+step-1)/step*step
	}
	s.to = max(s.to, s.from)
	return s
}

// Rows returns the calls of each module and interface, in the order of their names. From and to
// are the time that they are of: the query's, in whole periods.
func (k *Keeper) Rows(ctx context.Context, q Query) (rows []Row, from, to time.Time, err error) {
	s := k.spanOf(&q, 0)
	sums := make(map[string]*stats.Row)
	err = k.scan(ctx, &q, s, func(_ uint32, key, value []byte) error {
		sum := sums[string(key[5:])]
		if sum == nil {
			module, iface := namesOf(key)
			sum = &stats.Row{Module: string(module), Interface: string(iface)}
			sums[string(key[5:])] = sum
		}
		return mergeRow(sum, value)
	})
	if err != nil {
		return nil, from, to, err
	}
	for _, sum := range sums {
		rows = append(rows, Row{sum.Module, sum.Interface, callsOf(sum)})
	}
	slices.SortFunc(rows, func(a, b Row) int {
		return cmp.Or(strings.Compare(a.Module, b.Module), strings.Compare(a.Interface, b.Interface))
	})
	return rows, timeOf(s.from), timeOf(s.to), nil
}

// Series returns the calls of all that the query selects together, for each step of its time. A
// step is a multiple of five minutes, or of a minute while there are rows of minutes; 0 stands for
// one with at most 300 points.
func (k *Keeper) Series(ctx context.Context, q Query, step time.Duration) ([]Point, time.Duration, error) {
	minutes, err := k.stepOf(&q, step)
	if err != nil {
		return nil, 0, err
	}
	s := k.spanOf(&q, minutes)
	var points []Point
	var sum *stats.Row
	end := func(until uint32) {
		for at := s.from + uint32(len(points))*minutes; at < until; at += minutes {
			p := Point{Time: timeOf(at)}
			if sum != nil {
				p.Calls, sum = callsOf(sum), nil
			}
			points = append(points, p)
		}
	}
	err = k.scan(ctx, &q, s, func(minute uint32, _, value []byte) error {
		end(minute - (minute-s.from)%minutes)
		if sum == nil {
			sum = new(stats.Row)
		}
		return mergeRow(sum, value)
	})
	if err != nil {
		return nil, 0, err
	}
	end(s.to)
	return points, time.Duration(minutes) * time.Minute, nil
}

// steps are the steps that Series chooses from, in minutes.
func steps() []uint32 { return []uint32{1, 5, 15, 30, 60, 120, 240, 360, 720, 1440} }

// stepOf returns a step in minutes, or why it is not possible.
func (k *Keeper) stepOf(q *Query, step time.Duration) (uint32, error) {
	long := q.To.Sub(q.From)
	fine := k.spanOf(q, 0).of == &k.minutes
	if step == 0 {
		all := steps()
		for _, minutes := range all {
			if (fine || minutes%fiveMinutes == 0) && long <= 300*time.Duration(minutes)*time.Minute {
				return minutes, nil
			}
		}
		return all[len(all)-1], nil
	}
	switch {
	case step < time.Minute || step%time.Minute != 0:
		return 0, fmt.Errorf("%w %v: must be a multiple of a minute", ErrStep, step)
	case !fine && step%(fiveMinutes*time.Minute) != 0:
		return 0, fmt.Errorf("%w %v: must be a multiple of 5 minutes for a time without rows of minutes", ErrStep, step)
	case long/step >= maxPoints || step > 14*24*time.Hour:
		return 0, fmt.Errorf("%w %v: there would be more than %d points, or less than one", ErrStep, step, maxPoints)
	}
	return uint32(step / time.Minute), nil
}

// lookEvery is after how many entries a query looks whether it should end.
const lookEvery = 1024

// scan calls f for the rows of a query, in the order of their time.
func (k *Keeper) scan(ctx context.Context, q *Query, s span, f func(minute uint32, key, value []byte) error) error {
	module, iface, n := []byte(q.Module), []byte(q.Interface), 0
	return k.store.View(func(t kv.Tx) (err error) {
		t.Ascend(periodKey(s.of.prefix, s.from), func(key, value []byte) bool {
			minute, ok := period(s.of.prefix, key)
			if !ok || minute >= s.to {
				return false
			}
			if n++; n%lookEvery == 0 {
				if err = ctx.Err(); err != nil {
					return false
				}
			}
			m, i := namesOf(key)
			if len(module) > 0 && !bytes.Equal(m, module) || len(iface) > 0 && !bytes.Equal(i, iface) {
				return true
			}
			err = f(minute, key, value)
			return err == nil
		})
		return err
	})
}

// Module is a module and its interfaces.
type Module struct {
	Name       string
	Interfaces []string
}

// Modules returns those that there are rows of, in the order of their names.
func (k *Keeper) Modules() []Module {
	of := make(map[string][]string)
	k.known.RLock()
	for p := range k.pairs {
		of[p.module] = append(of[p.module], p.iface)
	}
	k.known.RUnlock()
	all := make([]Module, 0, len(of))
	for _, name := range slices.Sorted(maps.Keys(of)) {
		slices.Sort(of[name])
		all = append(all, Module{name, of[name]})
	}
	return all
}

// Oldest returns the time of the oldest row, or the zero time if there is none.
func (k *Keeper) Oldest() (oldest time.Time, err error) {
	err = k.store.View(func(t kv.Tx) error {
		t.Ascend([]byte{keyFive}, func(key, _ []byte) bool {
			if minute, ok := period(keyFive, key); ok {
				oldest = timeOf(minute)
			}
			return false
		})
		return nil
	})
	return oldest, err
}
