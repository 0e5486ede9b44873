package soak

import "fmt"

// What the gateways of a soak are started with, so that what they may hold is little enough for a leak to show within a minute.
const (
	loops        = 2
	maxOutput    = 4 << 20
	maxBuffered  = 16 << 20
	queueBytes   = 16 << 20 // with a worker, and without
	partialBytes = 16 << 20
	window       = 512 << 10 // of a worker's link
)

// What gateways have by default, or do not let anybody change. ARCHITECTURE.md lists it ("What happens when something is full").
const (
	maxMessage  = 1 << 20
	maxUnacked  = 256 << 10 // of a client; what goes past it is one message
	inboxBytes  = 1 << 20   // past it the link that fills it is not read
	linkInput   = 128 << 10 // read at once
	keptShared  = 256 << 10 // of an encoding's memory, for the next fan-out
	pooledBytes = 16 << 20  // buffers that a loop keeps for reuse, and what one callback may take of them before it has to write
	keptQueue   = 32 << 10  // of a client's queue, for reuse
	keptSlack   = 1 << 20   // of a link, besides three times what is unacknowledged
)

// Measured, and not bounds of anything.
const (
	process   = 24 << 20 // of a gateway that serves nobody: program, runtime, stacks
	perClient = 12 << 10 // session, connection, request, groups, reading buffer
	collector = 2        // Go's collector runs when the heap has doubled (GOGC=100)
)

// setup is what of a run the bound of a gateway's memory follows from. All of it is taken to be at one gateway.
type setup struct {
	clients int // at a time, of all kinds
	senders int // of small messages among them, all the time; each may have maxUnacked, and a message of senderBytes more
	sender  int // bytes of such a message
	big     int // clients that send messages of maxMessage
	formats int
	workers int
}

// addend is a part of a bound.
type addend struct {
	name  string
	bytes int
}

// bound adds up what the memory of one gateway may be: everything that is live, as the table of bounds has it, as often as the collector lets it be, and the process.
func bound(s setup) (total int, parts []addend) {
	waiting := s.senders*(maxUnacked+s.sender) + s.big*(maxUnacked+maxMessage)
	links := s.workers * loops
	parts = []addend{
		{"clients", s.clients * perClient},
		{"messages that have not come whole", min(loops*partialBytes, s.big*2*maxMessage)},
		{"the one that is being expanded", loops * 2 * maxMessage},
		{"messages that wait for a worker", min(loops*(queueBytes+maxMessage), waiting)},
		{"their queues, kept", s.clients * keptQueue},
		{"links, unsent", links * window},
		{"links, kept until acknowledged", links * (3*window + keptSlack)},
		{"links, a unit that has not come whole", links * 2 * (maxMessage + linkInput)}, // as much as one call sends; buffers double,
		{"unsent output of slow clients", loops * maxBuffered * 3 / 2},                  // their buffers grow by half
		{"output of a turn, and buffers kept", loops * pooledBytes},
		{"fan-outs, a memory for each format", loops * s.formats * (keptShared + 2*linkInput)},
		{"inboxes", loops * 2 * (inboxBytes + linkInput)}, // one fills while the other is emptied
	}
	for _, p := range parts {
		total += p.bytes
	}
	parts = append(parts, addend{"the collector's headroom", (collector - 1) * total}, addend{"process", process})
	return collector*total + process, parts
}

// table is a bound as lines of text.
func table(total int, parts []addend) string {
	text := []byte("what a gateway may hold:\n")
	for _, p := range parts {
		text = fmt.Appendf(text, "%8.1f MiB  %s\n", mib(p.bytes), p.name)
	}
	return string(fmt.Appendf(text, "%8.1f MiB\n", mib(total)))
}

func mib(n int) float64 { return float64(n) / (1 << 20) }
