package narrow

import (
	"slices"
	"time"

	"github.com/seed-7410fe32/sluice/internal/directory"
)

// fetch is a set that the directory is asked for.
type fetch struct {
	asked time.Duration
	stale bool // the set has changed meanwhile
}

// want asks for a set, the key of which is in s.key. It reports false if the directory has failed.
func (s *Sender) want(now time.Duration, kind byte, name []byte) bool {
	if now < s.failed {
		return false
	}
	if s.fetching[string(s.key)] == nil && len(s.fetching) < s.maxFetches {
		s.fetching[string(s.key)] = &fetch{}
		s.wanted = append(s.wanted, directory.Set{Kind: kind, Name: string(name)})
		s.Fetched++
	}
	return true
}

// TakeWanted returns the sets that the directory must be asked for now. Each gets an answer by
// Located.
func (s *Sender) TakeWanted(now time.Duration) []directory.Set {
	list := s.wanted
	s.wanted = nil
	for _, set := range list {
		s.key = appendKey(s.key[:0], set.Kind, set.Name)
		*s.fetching[string(s.key)] = fetch{asked: now}
	}
	return list
}

// Wants reports whether TakeWanted would return a set.
func (s *Sender) Wants() bool { return len(s.wanted) > 0 }

// Located is the directory's answer about a set: the gateways that hold it, and its generation.
// Token 0 means that it has not answered. The gateways belong to the Sender.
func (s *Sender) Located(now time.Duration, set directory.Set, gateways []uint32, token Token) {
	s.key = appendKey(s.key[:0], set.Kind, set.Name)
	f := s.fetching[string(s.key)]
	if f == nil {
		return
	}
	delete(s.fetching, string(s.key))
	if token == 0 {
		s.failed = now + retryAfter
		return
	}
	if f.stale {
		return
	}
	k := s.sets[string(s.key)]
	if k == nil {
		k = s.add(string(s.key))
	}
	slices.Sort(gateways)
	gateways = slices.Compact(gateways)
	if i, found := slices.BinarySearch(gateways, s.self); found {
		gateways = slices.Delete(gateways, i, i+1)
	}
	k.gateways = gateways
	k.token, k.asked, k.next = token, f.asked, f.asked+refreshAfter
}

// Asks reports whether the directory is being asked for a set of a message, so that the message may
// go to fewer gateways if it waits for the answer. It asks for sets that are not in memory.
func (s *Sender) Asks(now time.Duration, kind byte, names [][]byte) bool {
	asks := false
	for _, name := range names {
		s.key = appendKey(s.key[:0], kind, name)
		if len(s.joining) > 0 && s.joining[string(s.key)] > 0 {
			return false
		}
		if k := s.sets[string(s.key)]; k != nil && now < k.asked+SetTime {
			continue
		}
		if !s.want(now, kind, name) || s.fetching[string(s.key)] == nil {
			return false
		}
		asks = true
	}
	return asks && s.isPermitted(now)
}

// isPermitted reports whether a gateway may be left out.
func (s *Sender) isPermitted(now time.Duration) bool {
	for _, g := range s.gateways {
		if g.token != 0 && now < g.until {
			return true
		}
	}
	return false
}
