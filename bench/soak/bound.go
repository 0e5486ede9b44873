package soak

import "fmt"

// Limits that the gateways of a soak are started with. They are low, so
// that a leak shows within a minute.
const (
	loops        = 2
	maxOutput    = 4 << 20
	maxBuffered  = 16 << 20
	queueBytes   = 16 << 20 // with a worker, and without
	partialBytes = 16 << 20
	window       = 512 << 10 // of a worker's link
)

// Defaults and fixed limits of gateways, as in ARCHITECTURE.md ("What
// happens when something is full").
const (
	maxMessage  = 1 << 20
	maxUnacked  = 256 << 10 // of a client; only one message goes beyond it
	inboxBytes  = 1 << 20   // beyond it the link is not read
	linkInput   = 128 << 10 // read at once
	keptShared  = 256 << 10 // of a format's memory, for the next fan-out
	pooledBytes = 16 << 20  // buffers that a loop keeps, and the most a callback takes of them before it writes
	keptQueue   = 32 << 10  // of a client's queue, for reuse
	keptSlack   = 1 << 20   // of a link, in addition to three times what is unacknowledged
)

// Measured values.
const (
	process   = 24 << 20 // a gateway without clients: program, runtime, stacks
	perClient = 12 << 10 // session, connection, request, groups, reading buffer
	collector = 2        // the garbage collector runs when the heap has doubled (GOGC=100)
)

// setup is what the memory of a gateway depends on. All of it counts for one gateway.
type setup struct {
	clients int // at a time, of all kinds
	senders int // of small messages; each may have maxUnacked and one more message
	sender  int // bytes of such a message
	big     int // clients that send messages of maxMessage
	formats int
	workers int
}

type addend struct {
	name  string
	bytes int
}

// bound returns the most memory that one gateway may use: all live data of the table of bounds,
// times what the garbage collector leaves, and the process.
func bound(s setup) (total int, parts []addend) {
	waiting := s.senders*(maxUnacked+s.sender) + s.big*(maxUnacked+maxMessage)
	links := s.workers * loops
	parts = []addend{
		{"clients", s.clients * perClient},
		{"incomplete messages", min(loops*partialBytes, s.big*2*maxMessage)},
		{"message being decompressed", loops * 2 * maxMessage},
		{"messages that wait for a worker", min(loops*(queueBytes+maxMessage), waiting)},
		{"their queues, kept", s.clients * keptQueue},
		{"links, unsent", links * window},
		{"links, kept until acknowledged", links * (3*window + keptSlack)},
		{"links, incomplete units", links * 2 * (maxMessage + linkInput)}, // buffers double
		{"unsent output of slow clients", loops * maxBuffered * 3 / 2},    // buffers grow by half
		{"output of a turn, and buffers kept", loops * pooledBytes},
		{"fan-outs, by format", loops * s.formats * (keptShared + 2*linkInput)},
		{"inboxes", loops * 2 * (inboxBytes + linkInput)}, // one fills while the other is emptied
	}
	for _, p := range parts {
		total += p.bytes
	}
	parts = append(parts, addend{"garbage collector", (collector - 1) * total}, addend{"process", process})
	return collector*total + process, parts
}

func table(total int, parts []addend) string {
	text := []byte("memory that a gateway may use:\n")
	for _, p := range parts {
		text = fmt.Appendf(text, "%8.1f MiB  %s\n", mib(p.bytes), p.name)
	}
	return string(fmt.Appendf(text, "%8.1f MiB\n", mib(total)))
}

func mib(n int) float64 { return float64(n) / (1 << 20) }
