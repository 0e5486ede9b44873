package link

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

// These errors say why a link cannot be opened.
var (
	// ErrHello is returned when the peer does not speak this protocol.
	ErrHello = errors.New("link: not a sluice peer")
	// ErrVersion is returned when the two sides support no common version.
	ErrVersion = errors.New("link: no common version")
	// ErrKey is returned when the peer did not prove that it has the shared key.
	ErrKey = errors.New("link: wrong key")
)

// Role says what the dialling peer is.
type Role uint8

// The roles of SPEC.md.
const (
	RoleWorker    Role = 1
	RolePublisher Role = 2 // sends commands, and gets no clients
	RoleProbe     Role = 3
	RoleSuccessor Role = 4
	RolePeer      Role = 5 // another gateway
)

// AnyLoop in a WorkerHello lets the gateway choose the loop.
const AnyLoop = 0xFFFF

// WorkerHello is the part of the opening in which a worker describes itself.
type WorkerHello struct {
	Role   Role
	Loop   uint16 // the loop the link is for, or AnyLoop
	Weight uint16
	Window uint32 // most bytes of events that may be unacknowledged
	ID     [16]byte
	Name   string // at most 200 bytes are sent, also of Build
	Build  string
}

// GatewayHello is the part of the opening in which a gateway describes itself to an authenticated
// worker.
type GatewayHello struct {
	ID        uint32
	Epoch     uint64
	Loops     uint16
	Loop      uint16 // the loop that the link belongs to
	MaxFrame  uint32
	Heartbeat time.Duration // sent as whole seconds, rounded up
	Invokes   bool          // the gateway answers Invoke
	Reports   bool          // the gateway takes Report
	Narrows   bool          // the gateway takes part in narrow sends
	Shares    bool          // Invoke acts on what the gateway shares with others that have this set
	Blocks    bool          // the gateway takes Blocked
	Name      string        // at most 200 bytes are sent, also of Advertise
	// Advertise is the host:port at which other gateways reach its worker port. Empty means the
	// address at which the worker reaches it.
	Advertise string
}

const (
	magic        = "SLUICE"
	version      = 3
	nonceSize    = 32
	maxHello     = 1024 // bytes of a hello message
	helloTimeout = 5 * time.Second
	workerLabel  = "sluice worker 1"
	gatewayLabel = "sluice gateway 1"

	// In message 4.
	featureInvoke  = 0x01
	featureReport  = 0x02
	featureNarrow  = 0x04
	featureShared  = 0x08
	featureBlocked = 0x10
)

// These are the limits of the fields of a hello. Longer values are cut.
const (
	MaxName      = 200                  // bytes of a name or build
	MaxHeartbeat = 0xFFFF * time.Second // whole seconds
)

// Accept runs the gateway's side of the opening. It blocks for at most 5 s, reads no byte after the
// opening, and leaves conn without a deadline. If it fails, the caller must close conn. Accept
// calls answer when the peer has proved that it holds the key. answer may return an error to refuse
// it.
func Accept(conn net.Conn, key []byte, answer func(WorkerHello) (GatewayHello, error)) (WorkerHello, error) {
	return newExchange(conn, key).accept(answer)
}

// Connect runs the worker's side of the opening. It blocks for at most 5 s.
func Connect(conn net.Conn, key []byte, hello WorkerHello) (GatewayHello, error) {
	return newExchange(conn, key).connect(&hello)
}

// exchange is one opening. The goroutine that runs it owns it.
type exchange struct {
	conn       net.Conn
	key        []byte
	nonce      [nonceSize]byte // ours
	limit      time.Duration
	transcript []byte // the messages so far, each with its length; the proofs cover them
}

func newExchange(conn net.Conn, key []byte) *exchange {
	x := &exchange{conn: conn, key: key, limit: helloTimeout}
	_, _ = rand.Read(x.nonce[:]) // never fails
	return x
}

func (x *exchange) accept(answer func(WorkerHello) (GatewayHello, error)) (h WorkerHello, err error) {
	if err := x.conn.SetDeadline(time.Now().Add(x.limit)); err != nil {
		return h, fmt.Errorf("set deadline: %w", err)
	}
	first, err := x.read()
	if err != nil {
		return h, fmt.Errorf("read message 1: %w", err)
	}
	if len(first) != len(magic)+2+nonceSize || string(first[:len(magic)]) != magic {
		return h, ErrHello
	}
	if err := x.write(append(append([]byte(magic), version, 0, 0, 0, 0, 0), x.nonce[:]...)); err != nil {
		return h, fmt.Errorf("write message 2: %w", err)
	}
	if lowest, highest := first[len(magic)], first[len(magic)+1]; lowest > version || highest < version {
		// Message 2 has told the worker the version.
		return h, fmt.Errorf("%w: the worker supports versions %d to %d, this gateway version %d", ErrVersion,
			lowest, highest, version)
	}
	third, err := x.readProof(workerLabel)
	if errors.Is(err, ErrKey) {
		return h, x.keyError(third)
	}
	if err != nil {
		return h, fmt.Errorf("read message 3: %w", err)
	}
	if h, err = parseWorkerHello(third); err != nil {
		return h, err
	}
	reply, err := answer(h)
	if err != nil {
		return h, err
	}
	if err := x.writeProof(gatewayLabel, encodeGatewayHello(&reply)); err != nil {
		return h, fmt.Errorf("write message 4: %w", err)
	}
	return h, x.clearDeadline()
}

func (x *exchange) connect(hello *WorkerHello) (g GatewayHello, err error) {
	if err := x.conn.SetDeadline(time.Now().Add(x.limit)); err != nil {
		return g, fmt.Errorf("set deadline: %w", err)
	}
	if err := x.write(append(append([]byte(magic), version, version), x.nonce[:]...)); err != nil {
		return g, fmt.Errorf("write message 1: %w", err)
	}
	second, err := x.read()
	if err != nil {
		return g, hello.Role.answerError(err)
	}
	if len(second) != len(magic)+6+nonceSize || string(second[:len(magic)]) != magic {
		return g, hello.Role.answerError(ErrHello)
	}
	if second[len(magic)] != version {
		return g, fmt.Errorf("%w: the gateway supports version %d, this worker version %d",
			ErrVersion, second[len(magic)], version)
	}
	if err := x.writeProof(workerLabel, encodeWorkerHello(hello)); err != nil {
		return g, fmt.Errorf("write message 3: %w", err)
	}
	fourth, err := x.readProof(gatewayLabel)
	switch {
	case isEnd(err):
		return g, fmt.Errorf("the gateway closed the connection: %s: %w", x.hangUpHint(hello.Role), err)
	case errors.Is(err, ErrKey):
		return g, fmt.Errorf("%w: the gateway has another key or none", err)
	}
	if err != nil {
		return g, fmt.Errorf("read message 4: %w", err)
	}
	if g, err = parseGatewayHello(fourth); err != nil {
		return g, err
	}
	return g, x.clearDeadline()
}

func (x *exchange) clearDeadline() error {
	if err := x.conn.SetDeadline(time.Time{}); err != nil {
		return fmt.Errorf("clear deadline: %w", err)
	}
	return nil
}

// read reads one message and adds it to the transcript.
func (x *exchange) read() ([]byte, error) {
	body, err := x.readMessage()
	if err == nil {
		x.transcript = appendMessage(x.transcript, body)
	}
	return body, err
}

func (x *exchange) readMessage() ([]byte, error) {
	var size [2]byte
	if _, err := io.ReadFull(x.conn, size[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(size[:]))
	if n == 0 || n > maxHello {
		return nil, fmt.Errorf("%w%s", ErrHello, guessProtocol(size))
	}
	body := make([]byte, n)
	_, err := io.ReadFull(x.conn, body)
	return body, err
}

func (x *exchange) write(body []byte) error {
	start := len(x.transcript)
	x.transcript = appendMessage(x.transcript, body)
	_, err := x.conn.Write(x.transcript[start:])
	return err
}

// readProof reads a message that starts with a proof over all earlier messages and the rest of
// itself. It returns the rest. With ErrKey it returns the whole message.
func (x *exchange) readProof(label string) ([]byte, error) {
	body, err := x.readMessage()
	if err != nil {
		return nil, err
	}
	if len(body) < sha256.Size {
		return nil, ErrHello
	}
	if !hmac.Equal(body[:sha256.Size], x.proof(label, body[sha256.Size:])) {
		return body, ErrKey
	}
	x.transcript = appendMessage(x.transcript, body)
	return body[sha256.Size:], nil
}

// keyError returns the error for a worker whose message 3 was not made with our key. It is for the
// gateway's own log. The worker receives no reason.
func (x *exchange) keyError(third []byte) error {
	none := exchange{transcript: x.transcript} // an exchange without a key
	switch {
	case len(x.key) == 0:
		return fmt.Errorf("%w: the worker has a key and this gateway has none (set --key-file or Config.Key here)", ErrKey)
	case hmac.Equal(third[:sha256.Size], none.proof(workerLabel, third[sha256.Size:])):
		return fmt.Errorf("%w: the worker has no key and this gateway has one (set its --key-file or Config.Key)", ErrKey)
	}
	return fmt.Errorf("%w: the worker's key is not this gateway's (compare --key-file or Config.Key of both)", ErrKey)
}

// hangUpHint returns the most likely reason why a gateway closed the connection instead of sending
// message 4. The gateway sends no reason.
func (x *exchange) hangUpHint(role Role) string {
	switch {
	case role == RoleSuccessor:
		return "it is not draining (send it SIGTERM first), or it has another key (compare --key-file or Config.Key of both)"
	case len(x.key) == 0:
		return "it probably requires a key and this worker has none (set --key-file or Config.Key)"
	}
	return "it probably has another key, or none (compare --key-file or Config.Key of both)"
}

// answerError returns the error for a peer that has not answered as a gateway does.
func (r Role) answerError(err error) error {
	const meant = "workers dial the --inner address of a gateway"
	var late net.Error
	switch {
	case r == RoleSuccessor:
		return fmt.Errorf("the listener there is not the worker port of a gateway: %w", err)
	case errors.Is(err, ErrHello):
		return fmt.Errorf("%w: is this a client address? %s", err, meant)
	case isEnd(err):
		return fmt.Errorf("the peer closed the connection: is this a client address? %s; "+
			"a gateway without a key (--key-file) accepts workers of its own machine only; "+
			"one whose links have TLS (--link-tls-cert) needs it here too; one of an older build than "+
			"version %d of the protocol accepts no worker of this one: %w", meant, version, err)
	case errors.As(err, &late) && late.Timeout():
		return fmt.Errorf("no answer: is this a client address? %s: %w", meant, err)
	}
	return fmt.Errorf("read message 2: %w", err)
}

// isEnd reports whether the other side has closed the connection.
func isEnd(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// guessProtocol guesses from the first two bytes which other protocol a peer uses.
func guessProtocol(b [2]byte) string {
	switch string(b[:]) {
	case "GE", "HE", "PO", "PU", "PA", "DE", "OP", "CO", "HT": // request methods, and a response
		return ": the peer speaks HTTP"
	case "\x16\x03", "\x15\x03": // a handshake and an alert
		return ": the peer speaks TLS"
	case `{"`:
		return ": the peer speaks JSON"
	}
	return ""
}

func (x *exchange) writeProof(label string, rest []byte) error {
	return x.write(append(x.proof(label, rest), rest...))
}

func (x *exchange) proof(label string, rest []byte) []byte {
	m := hmac.New(sha256.New, x.key)
	m.Write([]byte(label))
	m.Write(x.transcript)
	m.Write(rest)
	return m.Sum(nil)
}

func appendMessage(dst, body []byte) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(body))), body...)
}

func short(s string) string { return s[:min(len(s), MaxName)] }

func encodeWorkerHello(h *WorkerHello) []byte {
	dst := []byte{byte(h.Role)}
	dst = binary.BigEndian.AppendUint16(dst, h.Loop)
	dst = binary.BigEndian.AppendUint16(dst, h.Weight)
	dst = binary.BigEndian.AppendUint32(dst, h.Window)
	dst = append(dst, h.ID[:]...)
	return AppendBytes(AppendBytes(dst, short(h.Name)), short(h.Build))
}

func parseWorkerHello(b []byte) (h WorkerHello, err error) {
	c := Read(b)
	h.Role = Role(c.U8())
	h.Loop, h.Weight, h.Window = c.U16(), c.U16(), c.U32()
	copy(h.ID[:], c.Take(len(h.ID)))
	h.Name, h.Build = string(c.Bytes()), string(c.Bytes())
	if !c.End() || h.Role < RoleWorker || h.Role > RolePeer {
		return h, ErrHello
	}
	return h, nil
}

func encodeGatewayHello(g *GatewayHello) []byte {
	dst := binary.BigEndian.AppendUint32(nil, g.ID)
	dst = binary.BigEndian.AppendUint64(dst, g.Epoch)
	dst = binary.BigEndian.AppendUint16(dst, g.Loops)
	dst = binary.BigEndian.AppendUint16(dst, g.Loop)
	dst = binary.BigEndian.AppendUint32(dst, g.MaxFrame)
	seconds := (min(max(g.Heartbeat, 0), MaxHeartbeat) + time.Second - 1) / time.Second
	dst = binary.BigEndian.AppendUint16(dst, uint16(seconds))
	features := uint8(0)
	if g.Invokes {
		features |= featureInvoke
	}
	if g.Reports {
		features |= featureReport
	}
	if g.Narrows {
		features |= featureNarrow
	}
	if g.Shares {
		features |= featureShared
	}
	if g.Blocks {
		features |= featureBlocked
	}
	dst = append(dst, features)
	return AppendBytes(AppendBytes(dst, short(g.Name)), short(g.Advertise))
}

func parseGatewayHello(b []byte) (g GatewayHello, err error) {
	c := Read(b)
	g.ID, g.Epoch, g.Loops, g.Loop = c.U32(), c.U64(), c.U16(), c.U16()
	g.MaxFrame = c.U32()
	g.Heartbeat = time.Duration(c.U16()) * time.Second
	features := c.U8()
	g.Invokes, g.Reports = features&featureInvoke != 0, features&featureReport != 0
	g.Narrows, g.Shares = features&featureNarrow != 0, features&featureShared != 0
	g.Blocks = features&featureBlocked != 0
	g.Name, g.Advertise = string(c.Bytes()), string(c.Bytes())
	if !c.End() || g.Loops == 0 || g.Loop >= g.Loops || g.MaxFrame < HeaderSize {
		return g, ErrHello
	}
	return g, nil
}
