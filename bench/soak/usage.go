package soak

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/seed-7410fe32/sluice/internal/backoff"
	"github.com/seed-7410fe32/sluice/internal/childproc"
	"github.com/seed-7410fe32/sluice/internal/procfs"
)

// usage is what a process holds (proc(5)); 0 if it has ended.
type usage struct {
	name                      string
	rss, descriptors, threads int
	lasting                   bool // the same process from start to end
}

func (f *fleet) usages() (all []usage) {
	for i, p := range f.gateways {
		all = append(all, usageOf(fmt.Sprintf("gateway-%d", i+1), p, true))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, p := range f.workers {
		all = append(all, usageOf(fmt.Sprintf("worker-%d", i+1), p, false))
	}
	return all
}

// peaks are the most bytes that each gateway has held since the last call.
func (f *fleet) peaks() (all []int) {
	for _, p := range f.gateways {
		all = append(all, procfs.TakePeak(p.PID))
	}
	return all
}

// A gateway needs time to close the clients of a round.
const (
	settleWithin = 5 * time.Second
	settleEvery  = 20 * time.Millisecond
)

// settled returns the usages once the gateways hold about as many descriptors
// as before, or after settleWithin.
func (s *soak) settled(ctx context.Context, before []usage) []usage {
	for end := time.Now().Add(settleWithin); ; {
		now, more := s.fleet.usages(), false
		for i, u := range now {
			more = more || u.lasting && u.descriptors > before[i].descriptors+moreDescriptors/4 // links come and go
		}
		if !more || time.Now().After(end) || !backoff.Sleep(ctx, settleEvery) {
			return now
		}
	}
}

func usageOf(name string, p *childproc.Process, lasting bool) usage {
	u := usage{name: name, rss: procfs.Resident(p.PID), lasting: lasting}
	if list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.PID)); err == nil {
		u.descriptors = len(list)
	}
	u.threads, _ = strconv.Atoi(procfs.Status(p.PID, "Threads"))
	return u
}

// What a process may hold more at the end than after the first
// quarter. Memory may also grow by half.
const (
	moreRSS         = 32 << 20
	moreDescriptors = 64
)

// grows compares the last quarter of the rounds with the one after the first, and names what has
// grown. It needs four rounds.
func grows(rounds [][]usage) (found []string) {
	n := len(rounds)
	if n < 4 {
		return nil
	}
	for i, u := range rounds[0] {
		if !u.lasting {
			continue
		}
		was, is := most(rounds[n/4:n/2+n%2], i), most(rounds[n-n/4:], i)
		if is.rss > was.rss*3/2+moreRSS {
			found = append(found, fmt.Sprintf("%s held %d MiB and holds %d MiB", u.name, was.rss>>20, is.rss>>20))
		}
		if is.descriptors > was.descriptors+moreDescriptors {
			found = append(found, fmt.Sprintf("%s held %d descriptors and holds %d", u.name, was.descriptors, is.descriptors))
		}
	}
	return found
}

func most(rounds [][]usage, i int) (m usage) {
	for _, r := range rounds {
		m.rss, m.descriptors = max(m.rss, r[i].rss), max(m.descriptors, r[i].descriptors)
	}
	return m
}
