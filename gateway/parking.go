package gateway

import (
	"encoding/binary"

	"github.com/seed-7410fe32/sluice/internal/directory"
	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/narrow"
)

// A unit that makes a client a member of a group or uid is not applied before the gateway's entry
// in the directory is visible to all senders (SPEC.md, "Narrow sends"). Until then it is parked:
// what follows it of the same client waits behind it, and everything else goes on. With many
// gateways a unit also waits until the directory has said which ones its messages are for.

// parking has what is parked on one loop.
type parking struct {
	of     map[uint64]*parked // by number; bound: joins that wait for the directory
	client map[uint64]*parked // the same, those of clients, by token; bound: joins that wait for the directory
	last   uint64             // number: so many streams there were
	bytes  int
}

// parked is a stream of frames that wait for sets to become visible, one after the other.
type parked struct {
	number uint64
	token  uint64          // of the client whose units they are; 0: of none
	in     *inLink         // what another gateway has sent; nil: not of such
	ahead  []directory.Set // that later frames of it need; bound: joins that wait for the directory
	sets   []directory.Set // that it waits for; bound: none, of one unit
	first  bool            // they are those that the first frame needs
	asked  bool            // the first frame has waited for the holders of other sets, too
	hidden int             // of them, not visible yet
	frames []byte          // each with the serial of its link before it; bound: joins that wait for the directory
}

// maxParked is the size of what is parked on a loop, in bytes, from which on the links that add to
// it are not read, until it is half of that.
const maxParked = 8 << 20

func (g *parking) init() { g.of, g.client = make(map[uint64]*parked), make(map[uint64]*parked) }

// needs appends to sets those that the frames make clients of this gateway members of.
func needs(sets []directory.Set, frames []byte) []directory.Set {
	var f link.Frame
	for len(frames) > 0 {
		n, _ := link.Next(frames, link.MaxFrame, &f) // the caller has checked them
		if set, ok := joined(&f); ok {
			sets = append(sets, set)
		}
		frames = frames[n:]
	}
	return sets
}

// holdAll adds a reference to each set, and returns how many are not visible.
func (x *narrowing) holdAll(sets []directory.Set) (hidden int) {
	for _, set := range sets {
		if !x.interest.hold(set) {
			hidden++
		}
	}
	return hidden
}

func (x *narrowing) releaseAll(sets []directory.Set) {
	for _, set := range sets {
		x.interest.release(set)
	}
}

// park begins a stream that waits for sets, which the caller has held.
func (x *narrowing) park(token uint64, in *inLink, sets []directory.Set) *parked {
	g := &x.parking
	g.last++
	p := &parked{number: g.last, token: token, in: in}
	g.of[p.number] = p
	if token != 0 {
		g.client[token] = p
	}
	x.await(p, sets)
	p.first = false
	return p
}

// parkFrame begins a stream with a frame that needs sets, which the caller has held.
func (x *narrowing) parkFrame(token uint64, in *inLink, sets []directory.Set, serial uint32, f *link.Frame) *parked {
	p := x.park(token, in, sets)
	p.first = true
	x.add(p, serial, f)
	return p
}

func (x *narrowing) await(p *parked, sets []directory.Set) {
	p.sets, p.hidden, p.first = sets, len(sets), true
	for _, set := range sets {
		x.interest.await(set, narrow.Waiter{Loop: x.loop.index, Number: p.number})
	}
}

// add adds a frame to a stream.
func (x *narrowing) add(p *parked, serial uint32, f *link.Frame) {
	if p.token != 0 {
		x.asking.unit(f) // so that many are asked for together
	}
	before := len(p.frames)
	p.frames = binary.BigEndian.AppendUint32(p.frames, serial)
	p.frames = link.Append(p.frames, f)
	x.parking.bytes += len(p.frames) - before
	if x.parking.bytes <= maxParked {
		return
	}
	if k := x.loop.links[serial]; k != nil && !k.parkingFull {
		k.parkingFull = true
		k.conn.Pause()
		x.loop.stats.InboxBackpressure++
	} else if k := x.loop.inLinks[serial]; k != nil && !k.parkingFull {
		k.parkingFull = true
		k.conn.Pause()
		x.loop.stats.InboxBackpressure++
	}
}

// unit parks a unit if it has to wait. It reports false if the unit is to be applied now; then the
// caller releases the sets that it returns.
func (x *narrowing) unit(k *workerLink, f *link.Frame) (waits bool, sets []directory.Set) {
	if p := x.parking.client[f.Token]; p != nil {
		x.add(p, k.serial, f)
		return true, nil
	}
	if f.Type != link.Unit {
		return false, nil
	}
	if sets = needs(nil, f.Payload); len(sets) > 0 && x.holdAll(sets) > 0 {
		x.parkFrame(f.Token, nil, sets, k.serial, f)
		return true, nil
	}
	if !x.asking.unit(f) {
		return false, sets
	}
	p := x.parkFrame(f.Token, nil, nil, k.serial, f)
	p.sets, p.asked = sets, true
	x.asking.wait(p)
	return true, nil
}

// plain parks a plain command that asks for a result, if it has to wait: one that joins, or a query
// of a handler behind the earlier effects of its client. It reports false if the command is to be
// applied now; then the caller releases the sets that it returns.
func (x *narrowing) plain(k *workerLink, f *link.Frame) (waits bool, sets []directory.Set) {
	if f.Type == link.Count || f.Type == link.Select {
		p := x.parking.client[f.Token]
		if p != nil {
			x.add(p, k.serial, f)
		}
		return p != nil, nil
	}
	set, ok := joined(f)
	if !ok || !f.Has(link.FlagResult) {
		return false, nil
	}
	if sets = []directory.Set{set}; x.holdAll(sets) == 0 {
		return false, sets
	}
	x.parkFrame(0, nil, sets, k.serial, f)
	return true, nil
}

// pass adds a reference to the set that a command needs which goes to another loop; there it is
// released when the command is done (noteJoin). A set that is visible stays so as long as it has a
// reference: without one, the doubt may end meanwhile, or the set may leave the directory.
func (x *narrowing) pass(o origin, f *link.Frame) origin {
	if x == nil || o.kind != noteCommand {
		return o
	}
	if set, ok := joined(f); ok {
		x.interest.hold(set)
		o.kind = noteJoin
	}
	return o
}

// opened parks a client that has connected with a uid that is not visible yet: units of it wait.
func (x *narrowing) opened(s *session) {
	set := directory.Set{Kind: link.SetUID, Name: s.member.UID()}
	if !x.interest.hold(set) {
		x.park(s.token(), nil, []directory.Set{set})
		return
	}
	x.interest.release(set)
}

// arrived parks what another gateway has sent, if it has to wait. f is a RELAY. It reports false if
// the command is to be applied now; then the caller releases the sets that it returns.
func (x *narrowing) arrived(k *inLink, f, inner *link.Frame) (waits bool, sets []directory.Set) {
	set, ok := joined(inner)
	if p := k.parked; p != nil {
		if ok {
			x.interest.hold(set) // so that many are entered together
			p.ahead = append(p.ahead, set)
		}
		x.add(p, k.serial, f)
		return true, nil
	}
	if !ok {
		return false, nil
	}
	if sets = []directory.Set{set}; x.holdAll(sets) == 0 {
		return false, sets
	}
	k.parked = x.parkFrame(0, k, sets, k.serial, f)
	return true, nil
}

// visible notes that a set is visible that a stream waits for.
func (x *narrowing) visible(number uint64) {
	p := x.parking.of[number]
	if p == nil {
		return
	}
	if p.hidden--; p.hidden == 0 {
		x.proceed(p)
	}
}

// proceed applies what waits in a stream, until a frame has to wait for something.
func (x *narrowing) proceed(p *parked) {
	held := p.sets
	p.sets = nil
	if p.in != nil {
		defer p.in.confirm()
	}
	for ; len(p.frames) > 0; p.first, p.asked = false, false {
		serial := binary.BigEndian.Uint32(p.frames)
		var f link.Frame
		n, _ := link.Next(p.frames[4:], link.MaxFrame, &f) // written by add, so it is whole
		if !p.first {
			if sets := needsOf(&f); len(sets) > 0 {
				if x.holdAll(sets) > 0 {
					x.releaseAll(held)
					x.await(p, sets)
					return
				}
				held = append(held, sets...)
			}
		}
		if !p.asked && x.asking.unit(&f) {
			p.sets, p.first, p.asked = held, true, true
			x.asking.wait(p)
			return
		}
		p.frames = p.frames[4+n:]
		x.parking.bytes -= 4 + n
		x.apply(p, serial, &f)
	}
	x.releaseAll(held)
	x.releaseAll(p.ahead)
	x.leave(p)
}

// needsOf returns the sets that a parked frame needs.
func needsOf(f *link.Frame) []directory.Set {
	if f.Type == link.Unit || f.Type == link.Relay {
		return needs(nil, f.Payload)
	}
	return nil
}

// apply applies a parked frame, unless its link has ended: then the worker's next one brings it
// again, or the other gateway's.
func (x *narrowing) apply(p *parked, serial uint32, f *link.Frame) {
	if p.in != nil {
		if k := x.loop.inLinks[serial]; k == p.in && !k.ended {
			if err := k.applyParked(f); err != nil {
				k.close(link.ReasonProtocol)
			}
		}
		return
	}
	k := x.loop.links[serial]
	if k == nil || k.ended {
		return
	}
	var err error
	switch {
	case f.Type == link.Unit:
		err = k.applyUnit(f)
	case f.Type == link.Send && f.Has(link.FlagHandled):
		err = k.applyAnswer(f)
	default:
		x.loop.command(k.origin(), f)
	}
	if err != nil {
		k.goAway(link.Protocol, err.Error())
	}
}

// leave ends a stream, and reads the links again that have filled the parking.
func (x *narrowing) leave(p *parked) {
	g := &x.parking
	delete(g.of, p.number)
	if p.token != 0 {
		delete(g.client, p.token)
	}
	if p.in != nil {
		p.in.parked = nil
	}
	if g.bytes > maxParked/2 {
		return
	}
	for _, k := range x.loop.links {
		if k.parkingFull {
			k.parkingFull = false
			k.resumeReads()
		}
	}
	for _, k := range x.loop.inLinks {
		if k.parkingFull {
			k.parkingFull = false
			k.resumeReads()
		}
	}
}
