package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"unsafe"

	"github.com/panjf2000/gnet/v2"
)

// fakeSocket accepts as many of the written bytes as the test allows.
type fakeSocket struct {
	gnet.Conn
	held []byte // written and not accepted
	out  []byte // accepted
	room int    // bytes that will be accepted at once
}

func (f *fakeSocket) OutboundBuffered() int { return len(f.held) }

func (f *fakeSocket) Write(p []byte) (int, error) {
	f.held = append(f.held, p...)
	f.take(0)
	return len(p), nil
}

// take makes it accept n more bytes.
func (f *fakeSocket) take(n int) {
	f.room += n
	n = min(f.room, len(f.held))
	f.out = append(f.out, f.held[:n]...)
	f.held = append(f.held[:0], f.held[n:]...)
	f.room -= n
}

// slowConn is a conn of a loop that does not run, on a socket that accepts nothing.
func slowConn(o ConnOptions) (*Conn, *fakeSocket) {
	e := &Engine{fastRequests: make(chan struct{}, 1), cfg: Config{MaxBuffered: 1 << 30}}
	l := &Loop{engine: e, armed: true}
	l.timers.init(l)
	o, err := o.check("ConnOptions")
	if err != nil {
		panic(err)
	}
	s := &fakeSocket{}
	c := newConn(l, funcs{}, &o, nil, netip.AddrPort{})
	c.g = s
	return c, s
}

// turn does for a conn what a loop does at the end of a turn.
func turn(l *Loop) {
	l.checkBlocked()
	l.written = 0
	l.dirty = flushAll(l.dirty)
}

// sent is one message that a model has written.
type sent struct {
	number, size int
	class        SendOptions
	err          error
}

// FuzzBacklog writes messages with all options to a conn whose peer takes bytes now and then. The
// output consists of whole messages in their order. Each missing message was counted, was allowed
// to be dropped, and was dropped only because there was no room or because a newer one had its key.
func FuzzBacklog(f *testing.F) {
	f.Add([]byte{0x01, 0x42, 0x83, 0xF4, 0x20, 0x31, 0x72, 0xFF, 0x00, 0x11, 0x22, 0x33}, uint8(0))
	f.Add(bytes.Repeat([]byte{0x41, 0x52, 0x63, 0xE0}, 60), uint8(1))
	f.Add(bytes.Repeat([]byte{0x61, 0x62, 0x63, 0x64, 0x15}, 80), uint8(2))
	f.Add(bytes.Repeat([]byte{0x0F, 0x2F, 0x4F, 0x6F, 0xE1}, 80), uint8(0))
	f.Fuzz(func(t *testing.T, ops []byte, policy uint8) {
		const bound = 2 * maxHandOver
		ops = ops[:min(len(ops), 300)]
		o := ConnOptions{MaxOutput: bound, Overflow: CloseSlow + Overflow(policy%3)}
		c, s := slowConn(o)
		_ = c.Write(make([]byte, 64)) // so it is slow
		turn(c.loop)
		all := fuzzWrites(t, c, s, ops)
		turn(c.loop)
		checkAccounts(t, c)
		s.take(1 << 30)
		turn(c.loop)
		if !c.ended && (c.backlog != nil || c.Buffered() > 0 || c.loop.buffered != 0 || c.loop.fastPolling) {
			t.Fatalf("all was taken: %d bytes are left, the loop counts %d", c.Buffered(), c.loop.buffered)
		}
		checkArrivals(t, c, s.out[min(64, len(s.out)):], all)
	})
}

func fuzzWrites(t *testing.T, c *Conn, s *fakeSocket, ops []byte) (all []sent) {
	memory := c.loop.NewShared()
	for i, op := range ops {
		if op >= 0xE0 {
			s.take(int(op-0xE0) * 2300)
			turn(c.loop)
			continue
		}
		m := sent{number: i, size: 8 + int(op&0x0F)*2500}
		m.class.Overflow = Overflow(op >> 4 & 3)
		if op&0x40 != 0 {
			m.class.ConflateKey = uint64(1 + op%3)
		}
		if i&1 == 0 {
			m.err = c.WriteAs(numbered(i, m.size), m.class)
		} else {
			m.err = c.WriteShared(memory, memory.Commit(append(memory.Begin(), numbered(i, m.size)...)), m.class)
		}
		if m.err != nil && !errors.Is(m.err, ErrDropped) && !c.ended {
			t.Fatalf("a message of %d bytes: %v", m.size, m.err)
		}
		if c.ended {
			return all
		}
		all = append(all, m)
		if n := c.Buffered(); n > c.options.MaxOutput {
			t.Fatalf("%d bytes wait", n)
		}
		if cap(c.out) > 8*c.options.MaxOutput {
			t.Fatalf("the buffer has %d bytes", cap(c.out))
		}
	}
	return all
}

// checkAccounts compares the backlog's counters with the sums of its entries.
func checkAccounts(t *testing.T, c *Conn) {
	t.Helper()
	if c.ended {
		return
	}
	b, books := c.backlog, 0
	if b != nil {
		books = cap(b.list)*int(unsafe.Sizeof(waiting{})) + len(b.keys)*keyEntry
	}
	if c.loop.buffered != c.Buffered()+books {
		t.Fatalf("%d bytes wait, %d of books, the loop counts %d", c.Buffered(), books, c.loop.buffered)
	}
	if b == nil {
		return
	}
	gone, total, keys := 0, 0, map[uint64]int{}
	for i, w := range b.list[b.head:] {
		total += int(w.size)
		if w.dropped {
			gone += int(w.size)
		} else if w.key != 0 {
			keys[w.key] = b.base + b.head + i
		}
	}
	if gone != b.droppedBytes || b.from+total != len(c.out) || !maps.Equal(keys, b.keys) {
		t.Fatalf("gone %d, counted %d; entries end at %d of %d; keys %v, kept %v",
			gone, b.droppedBytes, b.from+total, len(c.out), keys, b.keys)
	}
}

// The memory of a backlog counts against MaxBuffered. For small messages it is larger than the
// messages.
func TestSmallMessagesCountWhatTheyCost(t *testing.T) {
	t.Parallel()
	const messages = 20_000
	for name, key := range map[string]uint64{"no key": 0, "a key each": 1} {
		c, s := slowConn(ConnOptions{MaxOutput: 1 << 20, Overflow: DropOldest})
		_ = c.Write(make([]byte, 64)) // so it is slow
		turn(c.loop)
		for i := range uint64(messages) {
			if err := c.WriteAs([]byte("tick\n"), SendOptions{Overflow: DropOldest, ConflateKey: key * (1 + i)}); err != nil {
				t.Fatal(err)
			}
		}
		turn(c.loop)
		checkAccounts(t, c)
		if want := messages * (5 + 16); c.loop.buffered < want {
			t.Errorf("%s: %d messages of 5 bytes count %d bytes, want %d at least", name, messages, c.loop.buffered, want)
		}
		s.take(1 << 30)
		turn(c.loop)
		if c.loop.buffered != 0 {
			t.Errorf("%s: %d bytes count when all was taken", name, c.loop.buffered)
		}
	}
}

func checkArrivals(t *testing.T, c *Conn, out []byte, all []sent) {
	t.Helper()
	var came []int
	for len(out) >= 8 {
		i, n := int(binary.BigEndian.Uint32(out)), int(binary.BigEndian.Uint32(out[4:]))
		if n < 8 || n > len(out) {
			if c.ended {
				break // truncated within a message
			}
			t.Fatalf("a message of %d bytes among %d: boundaries are lost", n, len(out))
		}
		if !bytes.Equal(out[:n], numbered(i, n)) {
			t.Fatalf("message %d came changed", i)
		}
		came = append(came, i)
		out = out[n:]
	}
	if !slices.IsSorted(came) {
		t.Fatalf("out of order: %v", came)
	}
	if c.ended {
		return
	}
	missing := 0
	newest := map[uint64]int{}
	for _, m := range all {
		if m.class.ConflateKey != 0 && m.err == nil {
			newest[m.class.ConflateKey] = m.number
		}
	}
	for _, m := range all {
		if _, came := slices.BinarySearch(came, m.number); came {
			if m.err != nil {
				t.Fatalf("message %d came, and was said to be dropped", m.number)
			}
			continue
		}
		missing++
		policy := m.class.Overflow
		if policy == 0 {
			policy = c.options.Overflow
		}
		if policy == CloseSlow && (m.class.ConflateKey == 0 || newest[m.class.ConflateKey] == m.number) {
			t.Fatalf("message %d is missing, which may not be dropped", m.number)
		}
	}
	n := c.loop.counters
	if counted := n.DroppedOldest + n.DroppedNewest + n.Conflated; int(counted) != missing {
		t.Fatalf("%d are missing, counted are %d oldest, %d newest, %d conflated",
			missing, n.DroppedOldest, n.DroppedNewest, n.Conflated)
	}
}

// What happens to a message that does not fit depends on its options, and on those of the waiting
// messages.
func TestClasses(t *testing.T) {
	t.Parallel()
	const must, may, drop, usual = "must", "may", "drop", "usual" // close, oldest, newest, as the conn
	classes := map[string]SendOptions{
		must: {Overflow: CloseSlow}, may: {Overflow: DropOldest}, drop: {Overflow: DropNewest}, usual: {},
	}
	for i, test := range []struct {
		conn   Overflow
		writes string // six fit
		came   string
		closed bool
	}{
		{CloseSlow, "usual usual usual usual usual usual usual", "", true},
		{CloseSlow, "usual usual usual usual usual usual drop", "0 1 2 3 4 5", false},
		// Messages that may be dropped make room for those that must be sent.
		{CloseSlow, "drop usual drop usual usual usual usual", "1 2 3 4 5 6", false},
		{CloseSlow, "drop usual drop usual usual usual usual usual usual", "", true}, // but not without limit
		{CloseSlow, "usual may usual may usual usual may may", "0 2 4 5 6 7", false}, // the oldest droppable ones are dropped
		{CloseSlow, "usual usual usual usual usual usual may", "0 1 2 3 4 5", false}, // which may be the newest
		{DropOldest, "usual usual usual usual usual usual usual usual", "2 3 4 5 6 7", false},
		{DropOldest, "must usual must usual usual usual usual usual", "0 2 4 5 6 7", false}, // "must" is skipped
		{DropOldest, "must must must must must must must", "", true},
		{DropNewest, "usual usual usual usual usual usual usual usual", "0 1 2 3 4 5", false},
		{DropNewest, "usual usual usual usual usual usual must usual", "1 2 3 4 5 6", false},
		{DropNewest, "must must must must must must usual", "0 1 2 3 4 5", false},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			c, s := slowConn(ConnOptions{MaxOutput: 64 + 6*100, Overflow: test.conn})
			_ = c.Write(make([]byte, 64))
			turn(c.loop)
			for i, class := range bytes.Fields([]byte(test.writes)) {
				_ = c.WriteAs(numbered(i, 100), classes[string(class)])
			}
			if c.ended != test.closed || c.ended && !errors.Is(c.loop.ending[0].reason, ErrSlowConsumer) {
				t.Errorf("ended: %v, %v", c.ended, c.loop.ending)
			}
			if c.ended {
				return
			}
			s.take(1 << 20)
			turn(c.loop)
			var came []byte
			for out := s.out[64:]; len(out) > 0; out = out[100:] {
				came = fmt.Append(came, binary.BigEndian.Uint32(out), " ")
			}
			if got := string(bytes.TrimSpace(came)); got != test.came {
				t.Errorf("%s: came %s, want %s", test.writes, got, test.came)
			}
		})
	}
}

// A droppable message that replaces one of its key that must be sent must be sent too. Otherwise
// both could be lost.
func TestWhatReplacesAMessageThatMustGoMustGo(t *testing.T) {
	c, _ := slowConn(ConnOptions{MaxOutput: 4 << 10})
	_ = c.Write(make([]byte, 64))
	turn(c.loop)
	_ = c.Write(numbered(1, 2<<10))
	_ = c.WriteAs(numbered(2, 1<<10), SendOptions{ConflateKey: 7, Overflow: CloseSlow})
	err := c.WriteAs(numbered(3, 3<<10), SendOptions{ConflateKey: 7, Overflow: DropOldest})
	if !errors.Is(err, ErrSlowConsumer) || !c.ended {
		t.Errorf("%v, ended %v", err, c.ended)
	}
}

// Of the messages of one key, a slow conn gets the newest, after everything written before it. The
// number of changes makes no difference to memory and costs no allocation.
func TestTheLatestOfAKey(t *testing.T) {
	c, s := slowConn(ConnOptions{MaxOutput: 1 << 20})
	_ = c.Write(make([]byte, 64))
	turn(c.loop)
	const keys, rounds = 5, 10_000
	last := 0
	step := func() {
		for k := range keys {
			last++
			if err := c.WriteAs(numbered(last, 1000+k), SendOptions{ConflateKey: uint64(k + 1)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	step()
	if err := c.Write(numbered(1<<20, 1000)); err != nil {
		t.Fatal(err)
	}
	for range rounds {
		step()
	}
	if cap(c.out) > 64<<10 || cap(c.backlog.list) > 512 || c.Buffered() > 64+(keys+1)*1010 {
		t.Errorf("%d bytes, %d entries for %d bytes that wait", cap(c.out), cap(c.backlog.list), c.Buffered())
	}
	if n := testing.AllocsPerRun(100, func() {
		for k := range keys {
			_ = c.WriteAs(c.out[:1000:1000], SendOptions{ConflateKey: uint64(k + 1)})
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
	step()
	s.take(1 << 20)
	turn(c.loop)
	out := s.out[64:]
	for _, want := range []int{1 << 20, last - 4, last - 3, last - 2, last - 1, last} {
		if got := int(binary.BigEndian.Uint32(out)); got != want {
			t.Errorf("%d came in place of %d", got, want)
		}
		out = out[binary.BigEndian.Uint32(out[4:]):]
	}
	if len(out) > 0 || c.backlog != nil {
		t.Errorf("%d bytes too many", len(out))
	}
}
