package directory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	// MaxKey is the longest key, and the longest owner and name of a Set, in bytes.
	MaxKey = 1024
	// MaxValue is the largest value of a row, in bytes.
	MaxValue = 256 << 10
	// MaxLease is the longest lease.
	MaxLease = time.Hour
	// MaxSets is how many sets a call of Presence may name.
	MaxSets = 65536
	// Keep is how long a row stays after its lease has expired or was released, by default: its value
	// and version for the next owner. Its epochs are never given again, also after that.
	Keep = time.Hour
	// EntryTTL is how long a gateway is in a set after its last Enter, by default. A gateway enters
	// each of its sets again within a third of that.
	EntryTTL = 30 * time.Minute
	// MaxPost is how many messages a call of Mail takes or returns.
	MaxPost = 512
	// MaxMessage is the largest message of Mail, in bytes.
	MaxMessage = 2048
	// MaxMail is how many messages wait for a gateway.
	MaxMail = 4096
	// MailTTL is how long messages wait after the last Post for their gateway.
	MailTTL = 10 * time.Minute
)

var (
	// ErrUnavailable is returned when the directory does not answer, or is known not to answer. The
	// call may have been carried out, or may yet be.
	ErrUnavailable = errors.New("directory: unavailable")
	// ErrHeld is returned by Claim for a row that another owner holds.
	ErrHeld = errors.New("directory: the row is held by another owner")
	// ErrLost is returned for a row that the caller does not hold with that epoch: its lease has
	// expired, or another one has it.
	ErrLost = errors.New("directory: the lease is lost")
	// ErrConflict is returned by Put for a version that is not the present one.
	ErrConflict = errors.New("directory: the value has another version")
	// ErrNone is returned for a row that does not exist: it was never claimed, it was free for longer
	// than Keep, or the directory has lost its data. An owner that gets it may claim the row again.
	ErrNone = errors.New("directory: no such row")
	// ErrInvalid is returned for an argument that breaks one of the bounds. It is wrapped with what is
	// wrong.
	ErrInvalid = errors.New("directory: invalid")
	// ErrFull is returned when a driver has no room for another row, value or set.
	ErrFull = errors.New("directory: full")
)

// Row is a row at the time of the answer.
type Row struct {
	Key string
	// Owner is empty when the row is free.
	Owner string
	// Epoch is the fencing token. It grows at each change of owner, also when the same owner claims
	// the row again after it was free. Epochs are microseconds of the directory's clock, or one more
	// than the one before, whichever is larger; they fit in 53 bits. So they also grow when the
	// directory has lost its data.
	Epoch uint64
	// Version grows by one with each write of Value. It is 0 before the first.
	Version uint64
	// Value has at most MaxValue bytes. It belongs to the caller.
	Value []byte
	// Left is what is left of the lease. It is 0 when the row is free.
	Left time.Duration
}

// Rows are rows with one owner each. A key is "kind/name": 1 to MaxKey bytes, a kind that is not
// empty, and any name. An owner names one run of one program: it is not used again after a restart,
// so it has a random part. Nor is it used again for a row after a Release that returned
// ErrUnavailable, which may yet arrive. Leases are 1 ms to MaxLease.
//
// Each method is atomic, and may be called by any goroutine. Each returns an error that wraps
// ErrInvalid or ErrUnavailable, besides those of its own. None blocks for longer than a driver's
// time limit, or after ctx has ended. Arguments are not kept after the return.
type Rows interface {
	// Claim takes a row that is free, expired or new, and returns it. A value that is not nil is
	// written; nil keeps the value of the owner before, which the row returns. If the owner holds the
	// row already, Claim renews the lease and the epoch stays. If another one holds it, Claim returns
	// the row with ErrHeld.
	Claim(ctx context.Context, key, owner string, lease time.Duration, value []byte) (Row, error)
	// Renew starts the lease again. It returns ErrLost, also for a row whose lease has expired and
	// that nobody has taken since, or ErrNone.
	Renew(ctx context.Context, key, owner string, epoch uint64, lease time.Duration) error
	// Put writes the value if the caller holds the row and its version is the given one, and returns
	// the new version. It does not renew the lease. It returns ErrLost, ErrConflict or ErrNone.
	Put(ctx context.Context, key, owner string, epoch, version uint64, value []byte) (uint64, error)
	// Release frees the row. It returns ErrLost or ErrNone if there was nothing to free.
	Release(ctx context.Context, key, owner string, epoch uint64) error
	// Get returns a row, also one that is free, or ErrNone.
	Get(ctx context.Context, key string) (Row, error)
	// List returns the rows that are held and whose keys begin with prefix, ordered by key. The prefix
	// has a whole kind, with its slash. The rows are not from one instant.
	List(ctx context.Context, prefix string) ([]Row, error)
	// Watch calls changed with what List returns: once as soon as the directory answers, and again
	// when a row was claimed, written or freed, or its lease has expired. It does so within 2 s while
	// the directory answers. Renewals are no changes, so Left is what it was at some earlier time.
	// States in between may be left out, the last one is not. While the directory is unavailable
	// nothing is called: what was known stays. When it has come back with its data lost, rows are
	// missing until their owners have claimed them again.
	//
	// Watch returns when ctx has ended, or with ErrInvalid. It calls changed on the caller's
	// goroutine, one call at a time. The rows belong to changed.
	Watch(ctx context.Context, prefix string, changed func([]Row)) error
}

// These are the kinds of sets.
const (
	Group byte = 'g' // the gateways with members of a group
	UID   byte = 'u' // the gateways with connections of a uid
)

// Set is a set of gateways. Its name has at most MaxKey bytes.
type Set struct {
	Kind byte
	Name string
}

// Member is a gateway in a set: its number, and the epoch of the row that gave it the number. A
// gateway that has started again is another Member.
type Member struct {
	Gateway uint32
	Epoch   uint64 // at most 53 bits
}

// Reader is who has a set cached.
type Reader struct {
	Gateway uint32
	Loop    uint16
}

// Presence are sets of gateways. A set may name gateways that are gone, or that have no member any
// more, for EntryTTL at most; it never lacks one that has entered and stayed. Methods take several
// sets, and are atomic for each set by itself. After an error any part of the call may have been
// carried out; it may be made again with the same arguments.
//
// The calls of one Member for one set take effect in the order in which they were made, or not at
// all: a Leave whose answer was lost does not undo a later Enter. So the Member's calls for one set
// must be made one after the other.
//
// When the generation of the State changes, each gateway enters all of its sets again, and each
// reader forgets what it has cached.
type Presence interface {
	// Enter adds m to the sets for EntryTTL, and returns for each set, in their order, the readers
	// that may have it cached without m. When Enter has returned, every Locate returns m.
	Enter(ctx context.Context, m Member, sets []Set) ([][]Reader, error)
	// Leave removes m from the sets.
	Leave(ctx context.Context, m Member, sets []Set) error
	// Locate returns the members of each set, in their order, and registers r as their reader. r may
	// use the answer for the lease, counted from the call, not from the answer; the directory reports
	// r to those that Enter for twice as long. A lease of 0 registers nothing.
	Locate(ctx context.Context, r Reader, lease time.Duration, sets []Set) ([][]Member, error)
}

// Mail are messages for gateways, which others leave while they cannot reach them. A gateway has
// one box of at most MaxMail messages, also when it has started again. Messages may come more than
// once, and in another order. They are lost when the directory loses its data, and MailTTL after
// the last Post for the gateway. Each method is atomic, and takes at most MaxPost messages.
type Mail interface {
	// Post adds messages to a gateway's box. One that is in it already moves to the end. If there is
	// no room for all, none is added, and Post returns ErrFull.
	Post(ctx context.Context, to uint32, messages [][]byte) error
	// Fetch removes messages that it has returned before, and returns the oldest of the others. They
	// belong to the caller.
	Fetch(ctx context.Context, of uint32, done [][]byte) (messages [][]byte, err error)
}

// State says whether the directory answers.
type State struct {
	Up    bool
	Since time.Time // of Up: when it changed last
	// Generation is another text after the directory has lost its data, or may have: it was flushed,
	// restarted empty, or another server took over, whose copy may lack the last writes. It is empty
	// until the directory has answered once.
	Generation string
}

// Stats are counts since the start.
type Stats struct {
	Commands    uint64 // calls that were sent to the directory; a set counts as one
	Errors      uint64 // of them, those without an answer, or with one that says that the server fails
	Refused     uint64 // calls that failed at once because the directory did not answer before
	Outages     uint64 // times that State.Up became false
	Generations uint64 // times that State.Generation changed after the first
	Watches     uint64 // Watch calls that run now
}

// Directory is a driver.
type Directory interface {
	Rows
	Presence
	Mail
	State() State
	// Generation asks the directory for the State's generation. The State follows within seconds, and
	// may be that of a moment ago. So what a call has done or answered is certain to be of one
	// generation if the State had it before the call, and Generation returns it afterwards.
	Generation(ctx context.Context) (string, error)
	// Changed returns a channel that is closed at the next change of the State.
	Changed() <-chan struct{}
	Stats() Stats
	// Close ends all calls, with ErrUnavailable, and releases what the driver has.
	Close()
}

// Kind returns the kind of a key: what precedes its first slash.
func Kind(key string) (string, error) {
	kind, _, ok := strings.Cut(key, "/")
	if !ok || kind == "" || len(key) > MaxKey {
		return "", fmt.Errorf("%w: a key of %d bytes: must be kind/name, of at most %d", ErrInvalid, len(key), MaxKey)
	}
	return kind, nil
}

// CheckClaim returns an error that wraps ErrInvalid if arguments of Claim, Renew or Put break a
// bound. It is for drivers.
func CheckClaim(key, owner string, lease time.Duration, value []byte) error {
	switch _, err := Kind(key); {
	case err != nil:
		return err
	case owner == "" || len(owner) > MaxKey:
		return fmt.Errorf("%w: an owner of %d bytes: must have 1 to %d", ErrInvalid, len(owner), MaxKey)
	case lease < time.Millisecond || lease > MaxLease:
		return fmt.Errorf("%w: a lease of %v: must be 1ms to %v", ErrInvalid, lease, MaxLease)
	case len(value) > MaxValue:
		return fmt.Errorf("%w: a value of %d bytes: must have at most %d", ErrInvalid, len(value), MaxValue)
	}
	return nil
}

// CheckMail returns an error that wraps ErrInvalid if messages break a bound. It is for drivers.
func CheckMail(messages [][]byte) error {
	if len(messages) > MaxPost {
		return fmt.Errorf("%w: %d messages: at most %d at once", ErrInvalid, len(messages), MaxPost)
	}
	for _, m := range messages {
		if len(m) > MaxMessage {
			return fmt.Errorf("%w: a message of %d bytes: must have at most %d", ErrInvalid, len(m), MaxMessage)
		}
	}
	return nil
}

// CheckSets returns an error that wraps ErrInvalid if sets break a bound. It is for drivers.
func CheckSets(sets []Set, lease time.Duration) error {
	switch {
	case len(sets) > MaxSets:
		return fmt.Errorf("%w: %d sets: at most %d at once", ErrInvalid, len(sets), MaxSets)
	case lease < 0 || lease > MaxLease:
		return fmt.Errorf("%w: a lease of %v: must be 0 to %v", ErrInvalid, lease, MaxLease)
	}
	for _, s := range sets {
		if s.Kind != Group && s.Kind != UID || len(s.Name) > MaxKey {
			return fmt.Errorf("%w: a set of kind %q with a name of %d bytes", ErrInvalid, s.Kind, len(s.Name))
		}
	}
	return nil
}
