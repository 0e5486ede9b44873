package gateway

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/seed-7410fe32/sluice/internal/directory"
	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/narrow"
	"github.com/seed-7410fe32/sluice/internal/registry"
)

// Narrow sends: with a directory, a message to groups or uids goes only to the gateways that hold
// them. SPEC.md has the protocol, and internal/narrow the machines that decide. This file connects
// them to the links of a loop.

// narrowing is a loop's side of narrow sends. A loop of a gateway without a directory has none. The
// loop owns it.
type narrowing struct {
	loop     *loop
	interest *interest
	take     func() // the method takeNotices, bound once
	sender   *narrow.Sender
	permits  *narrow.Permits
	parking  parking
	asking   asking
}

func newNarrowing(l *loop, n *interest) *narrowing {
	x := &narrowing{loop: l, interest: n, sender: narrow.NewSender(l.g.cfg.ID, 0), permits: narrow.NewPermits()}
	x.take = x.takeNotices
	x.parking.init()
	x.asking.narrowing, x.asking.timer.Target = x, &x.asking
	l.members.Watch((*memberWatch)(n))
	return x
}

// now is the time of the machines, read from the clock.
func (x *narrowing) now() time.Duration { return x.interest.now() }

// reader is the loop as the directory names it.
func (x *narrowing) reader() directory.Reader {
	return directory.Reader{Gateway: x.loop.g.cfg.ID, Loop: uint16(x.loop.index)}
}

// memberWatch is an interest that a registry tells its sets.
type memberWatch interest

// Opened implements registry.Watcher.
func (h *memberWatch) Opened(kind registry.Kind, name string) {
	(*interest)(h).hold(directory.Set{Kind: byte(kind), Name: name})
}

// Emptied implements registry.Watcher.
func (h *memberWatch) Emptied(kind registry.Kind, name string) {
	(*interest)(h).release(directory.Set{Kind: byte(kind), Name: name})
}

// recipients returns the gateways that a command which is relayed to all is for. It reports false
// if it is for all.
func (x *narrowing) recipients(f *link.Frame) ([]uint32, bool) {
	kind, ok := x.asking.setsOf(f)
	if !ok {
		return nil, false
	}
	to, ok := x.sender.Narrow(x.now(), kind, x.asking.names)
	x.asking.ask()
	return to, ok
}

// relayed notes a join that is relayed to another gateway.
func (x *narrowing) relayed(p *peer, f *link.Frame) {
	if set, ok := joined(f); ok {
		x.sender.Relayed(set, p.id, p.out.next-1)
	}
}

// joined returns the set that a JOIN or BIND makes a client a member of.
func joined(f *link.Frame) (directory.Set, bool) {
	switch f.Type {
	case link.Join:
		return directory.Set{Kind: link.SetGroup, Name: string(f.Payload)}, true
	case link.Bind:
		c := link.Read(f.Payload)
		c.U32()
		return directory.Set{Kind: link.SetUID, Name: string(c.Rest())}, true
	}
	return directory.Set{}, false
}

// tick is called once a second.
func (x *narrowing) tick() {
	x.takeNotices()
	x.roundsOver(x.permits.Tick(x.now()))
	for _, p := range x.loop.peers {
		x.askPermit(p)
	}
}

// askPermit asks another gateway for a permit. The number of the question is its time in
// milliseconds.
func (x *narrowing) askPermit(p *peer) {
	if p.link != nil && p.link.narrows {
		p.link.send(&link.Frame{Type: link.Ask, ID: uint32(x.now().Milliseconds())})
	}
}

// permitted handles the answer of another gateway.
func (x *narrowing) permitted(p *peer, f *link.Frame) {
	now := x.now()
	ago := time.Duration(uint32(now.Milliseconds())-f.ID) * time.Millisecond
	x.sender.Permit(now, p.id, narrow.Token(f.Token), now.Truncate(time.Millisecond)-ago)
}

// forget handles FORGET, and returns the answer.
func forget(s *narrow.Sender, gateway uint32, f *link.Frame) (link.Frame, error) {
	if len(f.Payload) == 0 {
		s.Revoke(gateway)
	}
	for c := link.Read(f.Payload); len(c.Rest()) > 0; {
		kind, name := c.Set()
		if c.Bad() {
			return link.Frame{}, link.ErrFrame
		}
		s.Forget(directory.Set{Kind: kind, Name: string(name)})
	}
	return link.Frame{Type: link.Forgotten, ID: f.ID}, nil
}

// ask answers ASK, which has come by a link with a serial.
func (x *narrowing) ask(serial uint32, r directory.Reader, f *link.Frame) link.Frame {
	answer := link.Frame{Type: link.Permit, ID: f.ID}
	if token := x.interest.token(); token != 0 && x.permits.Allow(x.now(), serial, r) {
		answer.Token = uint64(token)
	}
	return answer
}

// forgotten handles FORGOTTEN, which has come by a link with a serial.
func (x *narrowing) forgotten(serial uint32, f *link.Frame) error {
	over, ok := x.permits.Forgotten(serial, f.ID)
	if !ok {
		return link.ErrFrame
	}
	x.roundsOver(over)
	return nil
}

func (x *narrowing) roundsOver(rounds []uint64) {
	for _, number := range rounds {
		x.interest.roundOver(number)
	}
}

// takeNotices handles what the interest has for the loop.
func (x *narrowing) takeNotices() {
	for _, n := range x.interest.taken(x.loop.index) {
		switch {
		case n.round != nil:
			x.begin(n.round)
		case n.answer != nil:
			n.answer.done(x.loop, n.answer)
		default:
			x.visible(n.waiter)
		}
	}
}

// begin has the loop's senders forget what a round names.
func (x *narrowing) begin(r *narrow.Round) {
	of := func(by directory.Reader) bool { return r.Sets == nil || r.Sets[by] != nil }
	over := x.permits.Forget(x.now(), r.Number, of, func(serial, number uint32, by directory.Reader) {
		f := link.Frame{Type: link.Forget, ID: number}
		for _, set := range r.Sets[by] {
			f.Payload = link.AppendSet(f.Payload, set.Kind, set.Name)
		}
		if k := x.loop.inLinks[serial]; k != nil {
			k.send(&f)
		} else if k := x.loop.links[serial]; k != nil {
			k.send(&f)
		}
	})
	if over {
		x.interest.roundOver(r.Number)
	}
}

// narrowing handles a frame of narrow sends.
func (k *workerLink) narrowing(f *link.Frame) error {
	x := k.loop.narrow
	if x == nil {
		return fmt.Errorf("%w: %v, and this gateway has no directory", link.ErrFrame, f.Type)
	}
	switch f.Type {
	case link.Ask:
		answer := x.ask(k.serial, narrow.Workers, f)
		k.send(&answer)
		return nil
	case link.Forgotten:
		return x.forgotten(k.serial, f)
	}
	return x.locate(k, f)
}

// locate answers LOCATE when the directory has answered.
func (x *narrowing) locate(k *workerLink, f *link.Frame) error {
	var sets []directory.Set
	for c := link.Read(f.Payload); len(c.Rest()) > 0; {
		kind, name := c.Set()
		if c.Bad() || len(sets) == link.MaxSets {
			return fmt.Errorf("%w: invalid payload of %v", link.ErrFrame, f.Type)
		}
		sets = append(sets, directory.Set{Kind: kind, Name: string(name)})
	}
	serial, id := k.serial, f.ID
	x.interest.ask(lookup{loop: x.loop.index, reader: narrow.Workers, sets: sets, done: func(l *loop, found *lookup) {
		answer := link.Frame{Type: link.Reply, ID: id, Code: uint16(link.Refused)}
		if found.token != 0 {
			answer.Code = uint16(link.OK)
			answer.Payload = binary.BigEndian.AppendUint64(nil, uint64(found.token))
			for _, gateways := range found.found {
				answer.Payload = link.AppendHolders(answer.Payload, gateways)
			}
		}
		l.reply(serial, &answer)
	}})
	return nil
}
