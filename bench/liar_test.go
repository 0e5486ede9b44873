package bench_test

import (
	"encoding/base64"
	"encoding/binary"
	"math/big"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/codec"
)

// A liar is a server that causes faults on purpose and counts them. It speaks every
// codec and does what bench.Worker does. A run has one kind of fault. So a report
// can be compared with what was done.
type liar struct {
	mode  bench.Mode
	codec bench.Codec
	rate  float64 // of the load. 0: a closed loop
	lie   lie
	ln    net.Listener
	began time.Time
	all   sync.WaitGroup // its goroutines

	mu      sync.Mutex // of all below, and of its callers
	last    string     // address of who connects last
	chance  *rand.Rand
	active  time.Time // when something was done for the run last
	callers []*caller
	uids    map[string]*caller
	rooms   map[string][]*caller
	did     bench.Audit // what the audit of the run has to say
	told    int         // lies
	most    int         // messages of one connection that were on their way at once
	marks   []mark      // of all load messages, in the order they were read
	times   []time.Time // and when
	served  []served    // answers whose time is taken
	doubts  int         // lies that the client may have taken no notice of
	moves   int         // of people who left, or hung up and came again
}

// newLiar starts a liar for a load.
func newLiar(t *testing.T, o bench.Options, l lie) *liar {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &liar{
		mode: o.Mode, codec: o.Codec, rate: o.Rate, lie: l, ln: ln, began: time.Now(),
		chance: rand.New(rand.NewPCG(1, 2)), uids: make(map[string]*caller), rooms: make(map[string][]*caller),
	}
	s.all.Go(s.accept)
	t.Cleanup(s.stop)
	return s
}

// stop ends the liar when all its clients have closed, including those not
// accepted yet. Then its counts are final.
func (s *liar) stop() {
	s.mu.Lock()
	if last, err := net.Dial("tcp", s.ln.Addr().String()); err == nil { // else it is over already
		s.last = last.LocalAddr().String()
		_ = last.Close()
	}
	s.mu.Unlock()
	s.all.Wait()
}

// does counts something done.
func (s *liar) does() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active = time.Now()
}

func (s *liar) accept() {
	defer func() { _ = s.ln.Close() }()
	for {
		nc, err := s.ln.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if nc.RemoteAddr().String() == s.last {
			s.mu.Unlock()
			_ = nc.Close()
			return
		}
		p := &caller{
			nc: nc, out: make(chan parcel, 256), done: make(chan struct{}),
			mute: s.lie.mute > 0 && s.chance.IntN(s.lie.mute) == 0,
		}
		if p.mute {
			s.told++
		}
		s.callers, s.active = append(s.callers, p), time.Now()
		s.mu.Unlock()
		s.all.Go(func() {
			var writing sync.WaitGroup
			writing.Go(func() { s.write(p) })
			s.read(p)
			writing.Wait()
			_ = nc.Close()
		})
		if s.lie.accepted != nil {
			s.lie.accepted(s, p)
		}
	}
}

// caller is one connection, and what its client has been sent.
type caller struct {
	nc      net.Conn
	wire    wire
	out     chan parcel
	done    chan struct{} // closed when the client has closed
	begun   time.Time     // when the first message could come
	mute    bool          // nothing is ever answered
	gone    bool          // nothing is answered any more
	closed  bool          // and the client knows it
	ended   bool          // the client has closed
	sent    int           // messages that it has sent
	first   uint32        // when the first of them was due
	had     int           // answers or deliveries due to it
	missing int           // of those, what it has not got
	held    map[uint32][]byte
	open    bool    // a line without its end was written last
	pings   []int   // indexes in served of the answers whose pong has not come
	doubts  []doubt // mode chat
	been    bool    // mode chat: in a room before
	spoke   bool    // mode chat: since it came into its room
	at      uint32  // and when, first
}

// parcel is data that is written at once.
type parcel struct {
	at     time.Time // not before
	b      []byte
	fin    bool // nothing follows
	served int  // index in liar.served of the answer whose time is taken, and one; 0: none
}

// write writes what is due to p, in order.
func (s *liar) write(p *caller) {
	for x := range p.out {
		time.Sleep(time.Until(x.at)) // the lie
		time.Sleep(time.Until(s.awake(time.Now())))
		if x.served > 0 {
			s.mu.Lock()
			s.served[x.served-1].written = time.Now()
			s.mu.Unlock()
		}
		_, _ = p.nc.Write(x.b) // a client that has closed is seen by read
		s.does()
		if x.fin {
			_ = p.nc.(*net.TCPConn).CloseWrite()
		}
	}
}

// awake returns the first time from t on at which the server does not pause.
func (s *liar) awake(t time.Time) time.Time {
	if s.lie.pauseEvery > 0 {
		if into := t.Sub(s.began) % s.lie.pauseEvery; into >= s.lie.pauseEvery-s.lie.pause {
			return t.Add(s.lie.pauseEvery - into)
		}
	}
	return t
}

// read serves p until its client closes.
func (s *liar) read(p *caller) {
	defer s.end(p)
	for b, have := make([]byte, 4<<10), 0; ; {
		n, err := p.nc.Read(b[have:])
		have += n
		taken := 0
		for taken < have {
			n, ok := s.decode(p, b[taken:have])
			if !ok {
				return
			}
			if n == 0 {
				break
			}
			taken += n
		}
		have = copy(b, b[taken:have])
		if err != nil {
			return
		}
	}
}

// decode takes one event off the front of in.
func (s *liar) decode(p *caller, in []byte) (n int, ok bool) {
	if p.wire == nil {
		return s.greet(p, in)
	}
	ev, payload, n, _, err := p.wire.Decode(in, nil)
	switch {
	case err != nil || ev == codec.Closed: // the farewell of a client that was told nonsense
		return len(in), true
	case ev == codec.MessageText || ev == codec.MessageBinary:
		s.mu.Lock()
		s.take(p, slices.Clone(payload))
		s.mu.Unlock()
	case n > 0:
		s.ponged(p)
	}
	return n, true
}

// greet makes the handshake, if there is one.
func (s *liar) greet(p *caller, in []byte) (n int, ok bool) {
	if s.codec != bench.WebSocket {
		p.begun = time.Now()
		p.wire = map[bench.Codec]wire{
			bench.Text: codec.Text{}, bench.JSON: codec.JSON{}, bench.JSONLines: codec.JSONLines{}, bench.Frame: codec.Frame{},
		}[s.codec]
		return s.decode(p, in)
	}
	request, n, err := codec.ReadRequest(in)
	if err != nil || n == 0 {
		return 0, err == nil
	}
	ws, response, err := codec.Upgrade(request, &codec.UpgradeOptions{})
	if err != nil {
		return 0, false
	}
	p.wire = ws
	s.does()
	if p.mute {
		s.mu.Lock()
		p.missing++
		s.mu.Unlock()
		return n, true
	}
	if s.lie.greeting > 0 {
		time.Sleep(s.lie.greeting) // the lie
	}
	p.begun = time.Now()
	_, _ = p.nc.Write(response) // a client that has closed is seen by read
	return n, true
}

// end removes p.
func (s *liar) end(p *caller) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.ended = true
	close(p.out)
	close(p.done)
	s.did.Lost += uint64(len(p.held))
	p.missing += len(p.held)
	if p.missing > 0 && !p.closed && (s.mode == bench.Connect || s.mode == bench.Churn) {
		s.did.Unanswered++
	}
	if s.mode == bench.Chat {
		s.hungUp(p)
	}
}

// quote is the offset of a message: after the quote of a JSON string.
func (s *liar) quote() int {
	if s.codec == bench.JSON || s.codec == bench.JSONLines {
		return 1
	}
	return 0
}

// stampAt is the offset of the stamp: after verb and target, in modes that have them.
func (s *liar) stampAt() int {
	switch s.mode {
	case bench.Broadcast:
		return s.quote() + 1
	case bench.Push, bench.Rooms, bench.Chat:
		return s.quote() + 1 + 6
	}
	return s.quote()
}

// take handles message m of p. Commands are answered, unless the fault is about them. For messages
// of the load the fault decides.
func (s *liar) take(p *caller, m []byte) {
	at := s.stampAt()
	if at == s.quote() {
		s.load(p, m, p)
		return
	}
	verb, name := m[s.quote()], string(m[s.quote()+1:at])
	if s.lie.silent == verb && p.been && s.chance.IntN(s.lie.oneIn) == 0 {
		s.told++
		s.did.Unanswered++
		return
	}
	switch verb {
	case 'h':
		s.returns(s.uids[name])
		s.uids[name] = p
	case 'j':
		s.rooms[name] = append(s.rooms[name], p)
	case 'l':
		s.leaves(p, name)
	case 'p':
		s.load(p, m, s.uids[name])
		return
	case 'w':
		s.load(p, m, s.uids[name], p)
		return
	case 'r':
		s.load(p, m, s.rooms[name]...)
		return
	case 'b':
		s.load(p, m, s.callers...)
		return
	}
	s.put(p, parcel{b: s.encode(p, m)})
}

// load delivers message m of the load.
func (s *liar) load(from *caller, m []byte, to ...*caller) {
	s.did.Sent++
	k := readMark(m[s.stampAt():])
	if from.sent++; from.sent == 1 {
		from.first = k.at
	}
	s.marks, s.times = append(s.marks, k), append(s.times, time.Now())
	if s.mode == bench.Chat {
		s.speaks(from, k.at)
	}
	for _, p := range to {
		if p != nil && !(s.mode == bench.Chat && p.ended) { // who has hung up needs nothing
			s.deliver(p, m, k)
		}
	}
}

// unhurried is the delay of an answer in a closed loop, so that a busy machine can keep up.
const unhurried = 10 * time.Millisecond

// delivery is what one client receives for one message: normally that message, once.
type delivery struct {
	to    *caller
	m     []byte
	mark  mark
	wire  []byte // what is written
	count int    // messages in it
	at    time.Time
	fin   bool
}

// deliver sends m to p, or what the fault makes of it.
func (s *liar) deliver(p *caller, m []byte, k mark) {
	s.did.Expected++
	p.had++
	if s.mode != bench.Rooms && s.mode != bench.Broadcast && s.mode != bench.Push {
		s.most = max(s.most, p.sent-(p.had-1-p.missing))
	}
	if p.gone || p.mute || p.ended {
		p.missing++
		s.did.Lost++
		return
	}
	d := delivery{to: p, m: m, mark: k, wire: s.encode(p, m), count: 1}
	if s.rate == 0 {
		d.at = time.Now().Add(unhurried)
	}
	if s.lie.tell != nil && s.certain(p, k) && s.chance.IntN(s.lie.oneIn) == 0 && s.lie.tell(s, &d) {
		s.told++
		s.did = plus(s.did, s.lie.adds)
		s.doubt(p, k)
	}
	if held, ok := p.held[k.stream]; ok && d.count > 0 {
		delete(p.held, k.stream)
		d.wire, d.count = append(d.wire, held...), d.count+1
		s.told++
		s.did.Reordered++
	}
	s.did.Received += uint64(d.count)
	x := parcel{at: d.at, b: d.wire, fin: d.fin}
	if s.lie.timed {
		s.served = append(s.served, served{mark: k, caller: p})
		p.pings = append(p.pings, len(s.served)-1)
		x.served, x.b = len(s.served), append(d.wire, 0x89, 0) // an empty ping (RFC 6455, section 5.5.2)
	}
	s.put(p, x)
}

func (s *liar) put(p *caller, x parcel) {
	if !p.ended && !p.mute && (len(x.b) > 0 || x.fin) {
		p.out <- x
	}
}

func (s *liar) encode(p *caller, m []byte) []byte {
	return p.wire.Append(nil, m, s.codec != bench.WebSocket)
}

// plus adds two accounts.
func plus(a, b bench.Audit) bench.Audit {
	return bench.Audit{
		Sent:       a.Sent + b.Sent,
		Expected:   a.Expected + b.Expected,
		Received:   a.Received + b.Received,
		Lost:       a.Lost + b.Lost,
		Duplicated: a.Duplicated + b.Duplicated,
		Reordered:  a.Reordered + b.Reordered,
		Changed:    a.Changed + b.Changed,
		Unexpected: a.Unexpected + b.Unexpected,
		Unanswered: a.Unanswered + b.Unanswered,
	}
}

// mark is a message's stamp, read without package bench: 16 characters, base64 of 24 bits stream,
// 32 bits sequence number, 32 bits time in microseconds and 8 bits check, the remainder of the 88
// bits before it divided by 251.
type mark struct{ stream, seq, at uint32 }

func readMark(p []byte) (m mark) {
	b, err := base64.RawURLEncoding.DecodeString(string(p[:16]))
	if err == nil {
		m = mark{binary.BigEndian.Uint32(b) >> 8, binary.BigEndian.Uint32(b[3:]), binary.BigEndian.Uint32(b[7:])}
	}
	return m
}

func (m mark) put(p []byte) {
	b := binary.BigEndian.AppendUint32(nil, m.stream<<8)[:3]
	b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, m.seq), m.at)
	rest := new(big.Int).Mod(new(big.Int).SetBytes(b), big.NewInt(251))
	base64.RawURLEncoding.Encode(p[:16], append(b, byte(rest.Uint64())))
}
