package gateway

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/engine/enginetest"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// asker is a gateway of two loops with a link to the first one. The second loop runs only when the
// test lets it.
type asker struct {
	t    *testing.T
	g    gate
	l    *loop
	peer *enginetest.Peer
}

func newAsker(t *testing.T) *asker {
	t.Helper()
	g := newGate(t, Config{Loops: 2, Logger: slog.New(slog.DiscardHandler)})
	k := newWorkerLink(g.g.loops[0], link.WorkerHello{Role: link.RoleWorker, Weight: 100, Window: 1 << 20,
		ID: [16]byte{1}})
	a := &asker{t: t, g: g, l: g.g.loops[0]}
	a.peer = g.sim.Open(0, netip.AddrPort{}, k, engine.ConnOptions{MaxInput: maxLinkInput, MaxOutput: 64 << 20,
		Retain: true, ExcludeFromBudget: true})
	a.peer.Limit(64 << 20)
	a.turn(0)
	return a
}

func (a *asker) turn(loop int) {
	for a.peer.Read(1 << 20) {
	}
	a.g.sim.Turn(loop)
}

// asks makes the first loop execute the frames.
func (a *asker) asks(frames ...link.Frame) {
	for i := range frames {
		a.peer.Send(link.Append(nil, &frames[i]))
	}
	a.turn(0)
}

// receives returns the replies since the last call: id, status, flags and size of each.
func (a *asker) receives() string {
	a.t.Helper()
	a.turn(0)
	var received []string
	for in := a.peer.Take(); len(in) > 0; {
		var f link.Frame
		n, err := link.Next(in, link.MaxFrame, &f)
		if n == 0 || err != nil {
			a.t.Fatalf("%d bytes that are no frame: %v", len(in), err)
		}
		in = in[n:]
		if f.Type == link.Reply {
			received = append(received, fmt.Sprintf("%d %v %#x %d", f.ID, link.Status(f.Code), f.Flags, len(f.Payload)))
		}
	}
	return strings.Join(received, ", ")
}

// wait lets seconds pass for the first loop.
func (a *asker) wait(seconds uint32) {
	a.l.seconds += seconds
	a.l.expireGathers()
}

func countOf(id uint32, groups ...string) link.Frame {
	return link.Frame{Type: link.Count, Code: link.TargetGroups, ID: id, Payload: link.AppendList(nil, groups)}
}

// pageOf requests a page of the second loop.
func pageOf(id uint32) link.Frame {
	b := binary.BigEndian.AppendUint64([]byte{link.FieldUID, 0, 0, 0, 0}, 1<<cursorBits)
	return link.Frame{Type: link.Select, ID: id, Payload: link.AppendList[string](b, nil)}
}

// A loop that does not reply does not block others for ever. A count gets the figures of the other
// loops, marked as partial. A page gets status Timeout.
func TestALoopThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	a := newAsker(t)
	a.asks(countOf(1, "a", "b"), pageOf(2), link.Frame{Type: link.Dissolve, Flags: link.FlagResult, ID: 3,
		Payload: []byte("a")})
	if got := a.receives(); got != "" {
		t.Fatalf("before the other loop has answered: %s", got)
	}
	a.wait(gatherTimeout)
	if got := a.receives(); got != "" {
		t.Fatalf("too early: %s", got)
	}
	a.wait(1)
	got := a.receives()
	for _, want := range []string{"1 ok 0x4 8", "2 timeout 0x0 0", "3 ok 0x4 4"} {
		if !strings.Contains(got, want) {
			t.Errorf("in the end %q, want %q in it", got, want)
		}
	}
	if len(a.l.gathers) != 0 || a.l.gatherBytes != 0 || a.l.stats.QueriesPartial != 3 {
		t.Errorf("%d questions left, of %d bytes, %d counted", len(a.l.gathers), a.l.gatherBytes, a.l.stats.QueriesPartial)
	}
	a.turn(1)
	if got := a.receives(); got != "" {
		t.Errorf("answered twice: %s", got)
	}
	a.asks(countOf(4, "a", "b"), pageOf(5))
	a.turn(1)
	if got := a.receives(); got != "4 ok 0x0 8, 5 ok 0x0 8" || a.l.gatherBytes != 0 {
		t.Errorf("when the loop answers: %s; %d bytes left", got, a.l.gatherBytes)
	}
}

// The queries that wait for other loops are bounded. Further ones are refused and not executed.
func TestQuestionsAreBounded(t *testing.T) {
	t.Parallel()
	a := newAsker(t)
	const fit = maxGathering / pageCost
	var questions []link.Frame
	for i := range uint32(fit) {
		questions = append(questions, pageOf(1+i))
	}
	a.asks(questions...) // in one turn: otherwise queries time out before a busy machine has sent that many
	if got := a.receives(); got != "" {
		t.Fatalf("within the bound: %s", got)
	}
	a.asks(pageOf(9001), countOf(9002, "a"))
	if got := a.receives(); got != "9001 refused 0x0 0, 9002 refused 0x0 0" || a.l.stats.QueriesRejected != 2 {
		t.Errorf("past it: %s; %d counted", got, a.l.stats.QueriesRejected)
	}
	a.turn(1)
	if got := strings.Count(a.receives(), " ok "); got != fit || a.l.gatherBytes != 0 {
		t.Errorf("%d answers of %d; %d bytes left", got, fit, a.l.gatherBytes)
	}
	a.asks(countOf(9003, "a"))
	a.turn(1)
	if got := a.receives(); got != "9003 ok 0x0 4" {
		t.Errorf("then: %s", got)
	}
}

// A reply that does not fit into a frame is not sent: too large a frame would end the worker's
// link.
func TestAnAnswerThatIsNoFrameIsRefused(t *testing.T) {
	t.Parallel()
	a := newAsker(t)
	var serial uint32
	for serial = range a.l.links {
	}
	a.l.answer(origin{loop: 0, kind: noteCommand, serial: serial},
		&link.Frame{ID: 1, Payload: make([]byte, link.MaxMessage+1)})
	a.l.answer(origin{loop: 0, kind: noteCommand, serial: serial},
		&link.Frame{ID: 2, Payload: make([]byte, link.MaxMessage)})
	if got := a.receives(); got != fmt.Sprintf("1 refused 0x0 0, 2 ok 0x0 %d", link.MaxMessage) {
		t.Error(got)
	}
}
