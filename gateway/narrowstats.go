package gateway

// NarrowStats are the figures of narrow sends of one loop. They are 0 without a Config.Directory.
type NarrowStats struct {
	// SendsNarrowed are messages to groups or uids, relayed for clients of the loop, that left out
	// gateways. GatewaysSpared are the gateways that they left out.
	SendsNarrowed, GatewaysSpared uint64
	// SendsWidenedUnknown are messages that went to all gateways because the loop did not know yet
	// which ones hold the group or uid.
	SendsWidenedUnknown uint64
	// SendsWidenedUnavailable are those that did because the directory does not answer.
	SendsWidenedUnavailable uint64
	// SendsWidenedJoining are those that did because a join was on its way to another gateway.
	SendsWidenedJoining uint64
	// SendsWidenedDoubt are messages that also went to gateways which do not permit to be left out,
	// because they or their link are new, or their directory fails.
	SendsWidenedDoubt uint64
	// SetsLocated are the groups and uids that the directory was asked for, and SetsForgotten those
	// that were given up for others.
	SetsLocated, SetsForgotten uint64
	// SetsKnown are those that the loop has in memory.
	SetsKnown int
	// UnitsParked are calls' effects that had to wait: until a join in them, or a uid of the
	// handshake, was visible to all gateways, or until the directory has said which gateways hold a
	// group or uid. A stream of them counts once. LookupTimeouts are those for which it took too long
	// to say that.
	UnitsParked, LookupTimeouts uint64
	// ParkedBytes is the size of what waits for that.
	ParkedBytes int
}

// stats returns the figures of the loop.
func (x *narrowing) stats() NarrowStats {
	c := &x.sender.SenderCounters
	return NarrowStats{
		SendsNarrowed: c.Narrowed, GatewaysSpared: c.Spared, SendsWidenedUnknown: c.WidenedUnknown,
		SendsWidenedUnavailable: c.WidenedUnavailable, SendsWidenedJoining: c.WidenedJoining,
		SendsWidenedDoubt: c.WidenedDoubt, SetsLocated: c.Fetched, SetsForgotten: c.Evicted,
		SetsKnown: x.sender.Len(), UnitsParked: x.parking.last,
		LookupTimeouts: x.asking.timeouts, ParkedBytes: x.parking.bytes,
	}
}

// InterestStats are what a gateway has in the directory. They are 0 without a Config.Directory.
type InterestStats struct {
	SetsHeld   int    // groups with members, uids with clients, and those that were so seconds ago
	SetEntries uint64 // entries made in the directory; each is renewed every 10 minutes
	// SetInformings are entries of which senders had to be told, because they knew the group or uid
	// without this gateway.
	SetInformings uint64
	// Doubts is how often the gateway has withdrawn all permits to leave it out, because the directory
	// did not answer or had lost its data. InDoubt is 1 while nobody has a permit.
	Doubts  uint64
	InDoubt int
}

// stats returns the figures of the gateway.
func (n *interest) stats() InterestStats {
	if n == nil {
		return InterestStats{}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	s := InterestStats{
		SetsHeld: n.holder.Len(), SetEntries: n.holder.Entries, SetInformings: n.holder.Informings,
		Doubts: n.holder.Doubts,
	}
	if n.holder.Token() == 0 {
		s.InDoubt = 1
	}
	return s
}
