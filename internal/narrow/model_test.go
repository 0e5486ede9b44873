package narrow

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/directory"
	"github.com/seed-7410fe32/sluice/internal/suite"
)

// world is a number of gateways with a directory, in any order of events: everything that takes
// time takes a random one, links break and come back, the directory fails and loses its data, and
// gateways freeze. The clock is common; SPEC.md says what clocks that differ need.
type world struct {
	t        *testing.T
	rng      *rand.Rand
	now      time.Duration
	gateways []*node
	calm     bool // nothing fails any more
	quiet    bool // nobody joins or leaves any more
	pace     int  // of so many chances for a fault, one is taken

	// The directory.
	up         bool
	generation Token
	members    map[directory.Set]map[uint32]bool
	readers    map[directory.Set]map[directory.Reader]time.Duration // until when they count

	serials         uint32
	sends, narrowed uint64
}

const (
	modelLoops   = 2
	modelSets    = 8
	modelMaxSets = 6 // sets in memory, so that some are evicted
)

// node is a gateway.
type node struct {
	w      *world
	id     uint32
	holder *Holder
	loops  []*nodeLoop
	frozen time.Duration            // until when nothing of it runs
	calls  []func()                 // answers and executions under way, in order
	busy   bool                     // a call of the holder is under way
	refs   map[directory.Set]int    // members
	acked  map[directory.Set]bool   // members that were acknowledged: a message must reach them
	waits  map[uint64]directory.Set // joins that wait, by number of the waiter
	last   uint64
}

type nodeLoop struct {
	n       *node
	index   int
	permits *Permits
	sender  *Sender
	links   []*wire // that the loop has dialled, by gateway; nil: none
	asking  bool    // a Locate is under way
}

// wire is a link that a sender has dialled.
type wire struct {
	from, to     *nodeLoop
	serial       uint32   // at the other end
	there, back  []func() // frames under way
	fromUp, toUp bool     // what each end believes
	cut          bool     // nothing passes any more
}

func (w *world) random(n int) int { return w.rng.IntN(n) }

func (w *world) set() directory.Set { return nthSet(w.random(modelSets)) }

func nthSet(n int) directory.Set {
	kind := directory.Group
	if n%2 == 0 {
		kind = directory.UID
	}
	return directory.Set{Kind: kind, Name: fmt.Sprint(n)}
}

func newWorld(t *testing.T, seed uint64, gateways int) *world {
	w := &world{
		t: t, rng: rand.New(rand.NewPCG(seed, 5)), now: time.Hour, pace: 10 << (seed % 5), up: true, generation: 1,
		members: make(map[directory.Set]map[uint32]bool), readers: make(map[directory.Set]map[directory.Reader]time.Duration),
	}
	for i := range gateways {
		w.gateways = append(w.gateways, w.newNode(uint32(i+1)))
	}
	for _, n := range w.gateways {
		n.introduce()
	}
	return w
}

func (w *world) newNode(id uint32) *node {
	n := &node{w: w, id: id, holder: NewHolder(id, modelLoops), refs: make(map[directory.Set]int),
		acked: make(map[directory.Set]bool), waits: make(map[uint64]directory.Set)}
	for i := range modelLoops {
		n.loops = append(n.loops, &nodeLoop{n: n, index: i, permits: NewPermits(), sender: NewSender(id, modelMaxSets)})
	}
	return n
}

// introduce tells the node's senders of all gateways.
func (n *node) introduce() {
	for _, l := range n.loops {
		l.links = make([]*wire, len(n.w.gateways))
		for _, o := range n.w.gateways {
			if o.id != n.id {
				l.sender.AddGateway(o.id)
			}
		}
	}
}

// restart replaces a gateway by a new process.
func (w *world) restart(i int) {
	old := w.gateways[i]
	n := w.newNode(old.id)
	w.gateways[i] = n
	n.introduce()
	for _, o := range w.gateways {
		for _, l := range o.loops {
			if k := l.links[i]; k != nil {
				k.cut, k.toUp = true, false
			}
		}
	}
	for _, l := range old.loops {
		for _, k := range l.links {
			if k != nil {
				k.cut, k.fromUp = true, false
			}
		}
	}
}

// settle passes on what the holder has produced.
func (n *node) settle() {
	for _, r := range n.holder.TakeRounds() {
		for _, l := range n.loops {
			n.calls = append(n.calls, func() { l.begin(r) })
		}
	}
	for _, v := range n.holder.TakeVisible() {
		if set, ok := n.waits[v.Number]; ok {
			delete(n.waits, v.Number)
			n.pass(set)
		}
	}
}

// begin begins a round on a loop.
func (l *nodeLoop) begin(r Round) {
	of := func(by directory.Reader) bool { return r.Sets == nil || r.Sets[by] != nil }
	over := l.permits.Forget(l.n.w.now, r.Number, of, func(serial, number uint32, by directory.Reader) {
		k := l.n.w.wire(l, serial)
		if k == nil || !k.toUp {
			return
		}
		k.back = append(k.back, func() {
			if s := k.from.sender; r.Sets == nil {
				s.Revoke(l.n.id)
			} else {
				for _, set := range r.Sets[by] {
					s.Forget(set)
				}
			}
			k.there = append(k.there, func() {
				over, ok := l.permits.Forgotten(serial, number)
				if !ok {
					l.n.w.t.Fatal("a FORGOTTEN is refused")
				}
				l.over(over)
			})
		})
	})
	if over {
		l.over([]uint64{r.Number})
	}
}

func (l *nodeLoop) over(rounds []uint64) {
	for _, number := range rounds {
		l.n.calls = append(l.n.calls, func() {
			l.n.holder.RoundOver(number)
			l.n.settle()
		})
	}
}

// wire returns the link to a loop with a serial, or nil if its other end has gone.
func (w *world) wire(to *nodeLoop, serial uint32) *wire {
	for _, n := range w.gateways {
		for _, l := range n.loops {
			if k := l.links[int(to.n.id)-1]; k != nil && k.to == to && k.serial == serial {
				return k
			}
		}
	}
	return nil
}

// dial opens a link to another gateway, or notices that the present one is broken.
func (l *nodeLoop) dial(i int) {
	w := l.n.w
	other := w.gateways[i]
	if other == l.n {
		return
	}
	if k := l.links[i]; k != nil {
		if k.cut && k.fromUp { // noticed
			k.fromUp = false
			l.sender.Revoke(other.id)
		}
		if k.fromUp {
			return
		}
		if k.toUp { // the other end notices that it is replaced
			k.toUp = false
			k.to.permits.Closed(k.serial)
		}
	}
	w.serials++
	l.links[i] = &wire{from: l, to: other.loops[l.index%modelLoops], serial: w.serials, fromUp: true, toUp: true}
	l.sender.Revoke(other.id)
}

// ask asks a gateway for a permit.
func (l *nodeLoop) ask(i int) {
	k := l.links[i]
	if k == nil || !k.fromUp {
		return
	}
	asked := l.n.w.now
	k.there = append(k.there, func() {
		token := k.to.n.holder.Token()
		if token != 0 && !k.to.permits.Allow(l.n.w.now, k.serial, directory.Reader{Gateway: l.n.id, Loop: uint16(l.index)}) {
			token = 0
		}
		k.back = append(k.back, func() { l.sender.Permit(l.n.w.now, k.to.n.id, token, asked) })
	})
}

// enter has the gateway's next sets entered, or removed.
func (n *node) enter() {
	w, h := n.w, n.holder
	if n.busy {
		return
	}
	sets := h.TakeEnters(w.now, 1+w.random(4))
	leaves := len(sets) == 0
	if leaves {
		sets = h.TakeLeaves(w.now, 1+w.random(4))
	}
	if n.settle(); len(sets) == 0 {
		if w.up {
			token := w.generation
			n.calls = append(n.calls, func() { h.Observe(token); n.settle() })
		}
		return
	}
	n.busy = true
	n.calls = append(n.calls, func() { // carried out
		readers, token := make([][]directory.Reader, len(sets)), Token(0)
		if w.up {
			token = w.generation
			for i, set := range sets {
				readers[i] = w.change(set, n.id, leaves)
			}
			if !w.calm && w.random(20) == 0 { // the answer is lost
				token = 0
			}
		}
		n.calls = append(n.calls, func() { // answered
			n.busy = false
			if leaves {
				h.Left(sets)
			} else {
				h.Entered(w.now, sets, readers, token)
			}
			n.settle()
		})
	})
}

// change is Enter or Leave, at the directory.
func (w *world) change(set directory.Set, id uint32, leaves bool) (readers []directory.Reader) {
	if leaves {
		delete(w.members[set], id)
		return nil
	}
	if w.members[set][id] {
		return nil
	}
	if w.members[set] == nil {
		w.members[set] = make(map[uint32]bool)
	}
	w.members[set][id] = true
	for r, until := range w.readers[set] {
		if until > w.now {
			readers = append(readers, r)
		}
	}
	return readers
}

// locate asks the directory for the sets that a loop wants.
func (l *nodeLoop) locate() {
	w := l.n.w
	if l.asking || !l.sender.Wants() {
		return
	}
	l.asking = true
	sets, began := l.sender.TakeWanted(w.now), w.generation
	l.n.calls = append(l.n.calls, func() {
		lists, token := make([][]uint32, len(sets)), Token(0)
		if w.up && began == w.generation {
			token = w.generation
			for i, set := range sets {
				for id := range w.members[set] {
					lists[i] = append(lists[i], id)
				}
				if w.readers[set] == nil {
					w.readers[set] = make(map[directory.Reader]time.Duration)
				}
				w.readers[set][directory.Reader{Gateway: l.n.id, Loop: uint16(l.index)}] = w.now + SetTime
			}
		}
		l.n.calls = append(l.n.calls, func() {
			l.asking = false
			for i, set := range sets {
				l.sender.Located(w.now, set, lists[i], token)
			}
		})
	})
}

// join is a command that makes a client a member. It needs the set, and waits until that is
// visible.
func (n *node) join(set directory.Set) {
	if n.holder.Hold(n.w.now, set) {
		n.pass(set)
	} else {
		n.last++
		n.waits[n.last] = set
		n.holder.Await(set, Waiter{0, n.last})
	}
	n.settle()
}

// pass passes such a command to the loop of the client. There the member is added, and acknowledged
// at once. The command needs the set until then.
func (n *node) pass(set directory.Set) {
	n.calls = append(n.calls, func() {
		n.refs[set]++
		n.holder.Hold(n.w.now, set)
		n.acked[set] = true
		n.holder.Release(n.w.now, set)
		n.settle()
	})
}

func (n *node) leave(set directory.Set) {
	if n.refs[set] == 0 {
		return
	}
	if n.refs[set]--; n.refs[set] == 0 {
		delete(n.acked, set)
	}
	n.holder.Release(n.w.now, set)
}

// send decides about a message, and checks that it reaches each acknowledged member. It needs not
// reach those of a gateway that has restarted, as long as the sender has no link to the new
// process.
func (l *nodeLoop) send() {
	w := l.n.w
	sets := []directory.Set{w.set()}
	names := [][]byte{[]byte(sets[0].Name)}
	for range w.random(2) {
		if more := w.set(); more.Kind == sets[0].Kind {
			sets, names = append(sets, more), append(names, []byte(more.Name))
		}
	}
	to, ok := l.sender.Narrow(w.now, sets[0].Kind, names)
	w.sends++
	if !ok {
		return
	}
	if len(to) < len(w.gateways)-1 {
		w.narrowed++
	}
	for _, n := range w.gateways {
		for _, set := range sets {
			if n != l.n && n.acked[set] && !slices.Contains(to, n.id) && l.links[n.id-1].to.n == n {
				w.t.Fatalf("at %v loop %d of gateway %d leaves out gateway %d, which holds %v", w.now, l.index, l.n.id, n.id, set)
			}
		}
	}
}

// step is one event.
func (w *world) step() {
	w.now += time.Duration(w.random(2000)) * time.Microsecond
	i := w.random(len(w.gateways))
	n := w.gateways[i]
	if n.frozen > w.now {
		return
	}
	l := n.loops[w.random(modelLoops)]
	switch w.random(16) {
	case 0:
		if !w.quiet && w.random(8) == 0 {
			n.join(w.set())
		}
	case 1:
		if set := w.set(); !w.quiet && w.random(4) == 0 {
			for n.refs[set] > 0 {
				n.leave(set)
			}
		}
	case 2, 3, 4:
		l.send()
	case 5:
		n.enter()
	case 6:
		l.locate()
	case 7:
		l.ask(w.random(len(w.gateways)))
	case 8:
		l.over(l.permits.Tick(w.now))
	case 9:
		l.dial(w.random(len(w.gateways)))
	case 10, 11, 12:
		if len(n.calls) > 0 { // in order for each gateway, which is stricter than needed for senders
			f := n.calls[0]
			n.calls = n.calls[1:]
			f()
		}
	case 13, 14:
		if k := l.links[w.random(len(w.gateways))]; k != nil {
			k.pass()
		}
	default:
		if !w.calm && w.random(w.pace) == 0 {
			w.fail(i, l)
		}
	}
	if len(l.sender.sets) > modelMaxSets || len(l.sender.ring) != len(l.sender.sets) {
		w.t.Fatalf("%d sets in memory, %d in the ring", len(l.sender.sets), len(l.sender.ring))
	}
}

// pass delivers the next frames of a link, in each direction, if the receiver runs.
func (k *wire) pass() {
	now := k.from.n.w.now
	if len(k.there) > 0 && !k.cut && k.toUp && k.to.n.frozen <= now {
		f := k.there[0]
		k.there = k.there[1:]
		f()
	}
	if len(k.back) > 0 && !k.cut && k.fromUp && k.from.n.frozen <= now {
		f := k.back[0]
		k.back = k.back[1:]
		f()
	}
}

// fail is one fault.
func (w *world) fail(i int, l *nodeLoop) {
	switch w.random(12) {
	case 0, 1, 2:
		if k := l.links[w.random(len(w.gateways))]; k != nil {
			k.cut = true
			if w.random(2) == 0 && k.toUp && k.to.n.frozen <= w.now { // the other end notices first
				k.toUp = false
				k.to.permits.Closed(k.serial)
			}
		}
	case 3:
		w.up = false
	case 5:
		w.generation++
		clear(w.members)
		clear(w.readers)
	case 6, 7:
		w.gateways[i].frozen = w.now + time.Duration(w.random(8000))*time.Millisecond
	case 8:
		if w.random(4) == 0 {
			w.restart(i)
		}
	case 9:
		w.now += time.Duration(w.rng.Int64N(int64(SetTime)))
	default:
		w.up = true
	}
}

// No message misses an acknowledged member, whatever fails. When nothing fails any more all
// gateways leave the doubt, joins are acknowledged, and messages go to those that hold the set and
// to no other.
func TestNoMemberIsMissed(t *testing.T) {
	t.Parallel()
	var sends, narrowed atomic.Uint64
	t.Run("schedules", func(t *testing.T) {
		for seed := range uint64(suite.Of(t, 60, 120, "schedules")) {
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, seed, 2+int(seed%4))
				for range 100_000 {
					w.step()
				}
				sends.Add(w.sends)
				narrowed.Add(w.narrowed)
				w.heal()
			})
		}
	})
	if narrowed.Load() < sends.Load()/100 {
		t.Errorf("%d of %d messages left somebody out: this proves little", narrowed.Load(), sends.Load())
	}
}

// heal lets everything work, and checks what remains.
func (w *world) heal() {
	w.calm, w.up = true, true
	for i := range 200_000 {
		if w.step(); i > 50_000 && w.isSettled() {
			break
		}
	}
	for _, n := range w.gateways {
		if n.holder.Token() != w.generation || len(n.waits) > 0 {
			w.t.Errorf("gateway %d: mode %d, queue %d, calls %d, %d joins wait", n.id, n.holder.mode, len(n.holder.queue),
				n.holder.calls, len(n.waits))
		}
		if len(n.holder.sets) > modelSets || len(n.holder.rounds) > 4 {
			w.t.Errorf("gateway %d keeps %d sets, %d rounds", n.id, len(n.holder.sets), len(n.holder.rounds))
		}
	}
	w.quiet = true
	for range 100_000 {
		w.step()
	}
	exact, all := 0, 0
	for _, n := range w.gateways {
		for _, l := range n.loops {
			for i := range modelSets {
				set := nthSet(i)
				to, ok := l.sender.Narrow(w.now, set.Kind, [][]byte{[]byte(set.Name)})
				if all++; ok && w.isExact(n, set, to) {
					exact++
				}
			}
		}
	}
	if exact < all/4 { // the memory has room for most of the sets, and others are being fetched
		w.t.Errorf("%d of %d messages go to the holders and no other", exact, all)
	}
}

func (w *world) isSettled() bool {
	return !slices.ContainsFunc(w.gateways, func(n *node) bool {
		return n.holder.Token() != w.generation || len(n.waits) > 0
	})
}

// isExact reports whether the gateways besides n that hold the set are those of the list.
func (w *world) isExact(n *node, set directory.Set, to []uint32) bool {
	for _, o := range w.gateways {
		if o != n && (o.refs[set] > 0) != slices.Contains(to, o.id) {
			return false
		}
	}
	return true
}
