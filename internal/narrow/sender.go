package narrow

import (
	"cmp"
	"slices"
	"time"

	"github.com/seed-7410fe32/sluice/internal/directory"
)

const (
	defaultSets     = 65536
	defaultFetches  = 4096
	maxJoins        = 1024                   // relayed joins that a Sender remembers one by one
	retryAfter      = 500 * time.Millisecond // pause after the directory has failed
	refreshInterval = 2 * time.Second        // between two refreshes of a set that is too old for a gateway
)

// SenderCounters count what a Sender has decided.
type SenderCounters struct {
	Narrowed uint64 // messages that left gateways out
	Spared   uint64 // gateways that were left out of messages
	// Messages that left out nobody because a set was not in memory, because the directory had not
	// answered, or because a join of the sender's own was under way.
	WidenedUnknown, WidenedUnavailable, WidenedJoining uint64
	// WidenedDoubt are messages that went to gateways without a valid permit, besides those that
	// hold the set.
	WidenedDoubt uint64
	Fetched      uint64 // sets asked for
	Evicted      uint64 // sets given up for others
}

// Sender is what one sender knows: sets, and permits of gateways. It has one owner.
type Sender struct {
	SenderCounters
	self                uint32 // the gateway of the sender, to which it does not send; 0: none
	maxSets, maxFetches int

	sets     map[string]*knownSet // by kind and name; bound: sets that a sender knows
	ring     []*knownSet          // the same, for eviction; bound: sets that a sender knows
	hand     int                  // the next of ring to look at
	fetching map[string]*fetch    // by kind and name; bound: sets that a sender knows
	wanted   []directory.Set      // of fetching, not asked yet; bound: sets that a sender knows
	failed   time.Duration        // until when nothing is asked, because the directory has failed

	gateways map[uint32]*permission // the other gateways; bound: gateways that a loop knows
	common   common
	joins    []relayedJoin  // bound: sets that a sender knows
	joining  map[string]int // how many of joins each set has; bound: sets that a sender knows

	key  []byte      // scratch
	plan []*knownSet // scratch: the sets of the message; bound: none, of one command
	to   []uint32    // scratch; bound: gateways that a loop knows
}

// knownSet is a set in memory.
type knownSet struct {
	key      string
	gateways []uint32 // that hold it, sorted
	token    Token
	asked    time.Duration
	next     time.Duration // when it may be refreshed
	used     bool          // since the hand has passed
	index    int           // in the ring
}

// permission is the permit of a gateway, as the sender counts it.
type permission struct {
	token        Token // 0: none
	since, until time.Duration
	// joins is the sequence of the newest join relayed to it that is not remembered by itself.
	// Until it is confirmed the gateway is not left out. 0: none.
	joins uint64
}

// common is what holds for all gateways together. With it a decision takes no look at each of them.
type common struct {
	known bool  // it is up to date
	token Token // of all; 0: not all have the same one
	since time.Duration
	until time.Duration
}

// relayedJoin is a join of a client of another gateway that the sender has relayed there. Until it
// is confirmed messages to the set go to all: they follow the join on its way.
type relayedJoin struct {
	key      string
	gateway  uint32
	sequence uint64
}

// NewSender returns the Sender of a loop of gateway self, or of a worker if that is 0. It keeps at
// most maxSets sets in memory, 65,536 if that is 0.
func NewSender(self uint32, maxSets int) *Sender {
	maxSets = cmp.Or(maxSets, defaultSets)
	return &Sender{
		self: self, maxSets: maxSets, maxFetches: min(maxSets, defaultFetches),
		sets: make(map[string]*knownSet), fetching: make(map[string]*fetch),
		gateways: make(map[uint32]*permission), joining: make(map[string]int),
	}
}

// Len returns the number of sets in memory.
func (s *Sender) Len() int { return len(s.sets) }

// AddGateway adds another gateway, which is not left out until it permits it.
func (s *Sender) AddGateway(id uint32) {
	if s.gateways[id] == nil {
		s.gateways[id] = &permission{}
		s.common.known = false
	}
}

// RemoveGateway removes a gateway to which nothing is sent any more.
func (s *Sender) RemoveGateway(id uint32) {
	delete(s.gateways, id)
	s.common.known = false
	s.Confirmed(id, ^uint64(0))
}

// Permit is the answer of a gateway to a question asked at a time. Token 0 means that it permits
// nothing.
func (s *Sender) Permit(now time.Duration, id uint32, token Token, asked time.Duration) {
	g := s.gateways[id]
	if g == nil {
		return
	}
	if token != g.token || now >= g.until {
		g.since = now
		s.common.known = false
	}
	g.token, g.until = token, asked+PermitTime
}

// Revoke ends the permit of a gateway: it has withdrawn it, or the link to it has ended.
func (s *Sender) Revoke(id uint32) {
	if g := s.gateways[id]; g != nil {
		g.token, s.common.known = 0, false
	}
}

// Forget removes a set from memory: its holders have changed.
func (s *Sender) Forget(set directory.Set) {
	s.key = appendKey(s.key[:0], set.Kind, set.Name)
	s.forget(s.key)
}

func (s *Sender) forget(key []byte) {
	if k := s.sets[string(key)]; k != nil {
		s.remove(k)
	}
	if f := s.fetching[string(key)]; f != nil {
		f.stale = true
	}
}

func appendKey[T string | []byte](dst []byte, kind byte, name T) []byte {
	return append(append(dst, kind), name...)
}

// remove removes a set. The last one of the ring takes its place there.
func (s *Sender) remove(k *knownSet) {
	delete(s.sets, k.key)
	last := s.ring[len(s.ring)-1]
	s.ring[k.index], last.index = last, k.index
	s.ring = s.ring[:len(s.ring)-1]
}

// Relayed notes that a join of a client of another gateway was relayed there with a sequence.
func (s *Sender) Relayed(set directory.Set, gateway uint32, sequence uint64) {
	s.Forget(set)
	if g := s.gateways[gateway]; len(s.joins) >= maxJoins && g != nil {
		g.joins, s.common.known = sequence, false
		return
	}
	key := string(s.key)
	s.joins = append(s.joins, relayedJoin{key, gateway, sequence})
	s.joining[key]++
}

// Confirmed notes that a gateway has applied what was relayed to it up to a sequence, and that it
// is visible.
func (s *Sender) Confirmed(gateway uint32, last uint64) {
	if g := s.gateways[gateway]; g != nil && g.joins != 0 && g.joins <= last {
		g.joins, g.token, s.common.known = 0, 0, false // what is in memory is older: a new permit is needed
	}
	if len(s.joins) == 0 {
		return
	}
	s.joins = slices.DeleteFunc(s.joins, func(j relayedJoin) bool {
		if j.gateway != gateway || j.sequence > last {
			return false
		}
		if s.joining[j.key]--; s.joining[j.key] == 0 {
			delete(s.joining, j.key)
		}
		return true
	})
}

// Narrow returns the gateways that a message to sets of one kind is for: each that holds one of the
// sets, and each that may not be left out. It reports false if the message must go to all gateways.
// now must be read from the clock after the message has come. The list may name gateways that the
// Sender does not know, and is valid until the next call.
func (s *Sender) Narrow(now time.Duration, kind byte, names [][]byte) (to []uint32, ok bool) {
	s.plan = s.plan[:0]
	why := (*uint64)(nil)
	for _, name := range names {
		s.key = appendKey(s.key[:0], kind, name)
		if len(s.joining) > 0 && s.joining[string(s.key)] > 0 {
			why = &s.WidenedJoining
			continue
		}
		k := s.sets[string(s.key)]
		if k == nil || now >= k.asked+SetTime {
			if why = &s.WidenedUnknown; !s.want(now, kind, name) {
				why = &s.WidenedUnavailable
			}
			continue
		}
		k.used = true
		if now >= k.next && s.want(now, kind, name) {
			k.next = now + refreshInterval
		}
		s.plan = append(s.plan, k)
	}
	if why != nil {
		*why++
		return nil, false
	}
	s.to = s.to[:0]
	if s.mayLeaveOutAll(now) {
		for _, k := range s.plan {
			s.to = append(s.to, k.gateways...)
		}
		if len(s.plan) > 1 {
			slices.Sort(s.to)
			s.to = slices.Compact(s.to)
		}
	} else {
		s.choose(now)
	}
	if n := len(s.gateways) - len(s.to); n > 0 { // a set may name gateways that are gone
		s.Narrowed++
		s.Spared += uint64(n)
	}
	return s.to, true
}

// mayLeaveOutAll reports whether the permits of all gateways are valid for all sets of the message.
func (s *Sender) mayLeaveOutAll(now time.Duration) bool {
	c := &s.common
	if !c.known || now >= c.until {
		*c = common{known: true, until: 1<<63 - 1}
		first := true
		for _, g := range s.gateways {
			if first {
				c.token, first = g.token, false
			}
			if g.token != c.token || g.joins != 0 {
				c.token = 0
			}
			c.since, c.until = max(c.since, g.since), min(c.until, g.until)
		}
	}
	for _, k := range s.plan {
		if k.token != c.token || k.asked < c.since || now >= c.until {
			return false
		}
	}
	return true
}

// choose appends to s.to the gateways that the message is for, one by one.
func (s *Sender) choose(now time.Duration) {
	doubt := false
	for id, g := range s.gateways {
		for _, k := range s.plan {
			if _, holds := slices.BinarySearch(k.gateways, id); holds {
				s.to = append(s.to, id)
				break
			}
			if g.token == 0 || g.joins != 0 || now >= g.until || g.token != k.token || k.asked < g.since {
				s.to = append(s.to, id)
				doubt = true
				if g.token != 0 { // a newer set helps
					k.next = min(k.next, max(now, k.asked+refreshInterval))
				}
				break
			}
		}
	}
	if doubt {
		s.WidenedDoubt++
	}
}

// add adds a set to the memory. If that is full it replaces the next one that was not used for a
// round of the hand.
func (s *Sender) add(key string) *knownSet {
	for len(s.ring) >= s.maxSets {
		if s.hand >= len(s.ring) {
			s.hand = 0
		}
		if k := s.ring[s.hand]; k.used {
			k.used = false
			s.hand++
			continue
		}
		s.remove(s.ring[s.hand])
		s.Evicted++
	}
	k := &knownSet{key: key, used: true, index: len(s.ring)}
	s.ring = append(s.ring, k)
	s.sets[key] = k
	return k
}
