package narrow

import (
	"container/list"
	"time"

	"github.com/seed-7410fe32/sluice/internal/directory"
)

const (
	// lingerTime is how long a set stays entered without members, so that one that comes and goes
	// costs nothing.
	lingerTime = 10 * time.Second
	// maxLingering bounds the sets without members. Past it the oldest leaves at once.
	maxLingering = 65536
	// refreshEntry is when a set is entered again, because entries expire.
	refreshEntry = directory.EntryTTL / 3
)

// mode is what a Holder may promise.
type mode uint8

const (
	inDoubt     mode = iota // no sender has a permit: every set is visible
	withdrawing             // permits are being withdrawn
	clean                   // all sets that are visible are entered; senders get permits
)

// phase is how far the entry of a set is.
type phase uint8

const (
	absent phase = iota // not in the directory; if it has references it is in the queue
	entering
	informing // entered, and readers that may not know it are asked to forget the set
	entered
	leaving
)

// Waiter is who waits until a set is visible: a loop of the gateway, and a number there.
type Waiter struct {
	Loop   uint8
	Number uint64
}

// Round is what senders have to forget: sets, each by its readers. Without sets they have to forget
// their permits. Each loop answers by RoundOver.
type Round struct {
	Number uint64
	Sets   map[directory.Reader][]directory.Set // bound: none, of one call of the directory
}

// HolderCounters count what a Holder has done.
type HolderCounters struct {
	Entries    uint64 // sets entered into the directory, again and again
	Removals   uint64 // sets removed from it
	Informings uint64 // entries of which readers had to be told
	Doubts     uint64 // times that all permits were withdrawn
}

// Holder is what one gateway holds. It has one owner.
type Holder struct {
	HolderCounters
	gateway uint32
	loops   int

	mode    mode
	token   Token                   // of the entries; 0: unknown
	sets    map[directory.Set]*held // bound: sets that a gateway holds
	queue   []*held                 // to be entered; bound: sets that a gateway holds
	calls   int                     // sets in phases entering and leaving
	active  *list.List              // of *held, those with references and an entry, in the order of entering
	idle    *list.List              // of *held, those without, oldest first
	rounds  map[uint64]*round       // bound: rounds of forgetting
	counter uint64                  // of rounds
	visible []Waiter                // to be told; bound: joins that wait for the directory
	begun   []Round                 // to be passed to the loops; bound: rounds of forgetting
}

// held is a set that the gateway holds, or has held a moment ago.
type held struct {
	set     directory.Set
	refs    int32 // loops and parked units that need it
	phase   phase
	queued  bool          // in the queue
	shown   bool          // visible, also while it is entered again
	at      time.Duration // when it was entered
	idle    time.Duration // since when it has no references
	round   uint64        // of which it waits for the end, if it is informing
	place   *list.Element // in active or idle
	waiters []Waiter      // bound: joins that wait for the directory
}

// round is a Round that is not over.
type round struct {
	left int     // loops
	of   []*held // nil: permits are withdrawn; bound: none, of one call of the directory
}

// NewHolder returns the Holder of a gateway with a number of loops. It is in doubt until the
// directory has answered.
func NewHolder(gateway uint32, loops int) *Holder {
	return &Holder{
		gateway: gateway, loops: loops, sets: make(map[directory.Set]*held), rounds: make(map[uint64]*round),
		active: list.New(), idle: list.New(),
	}
}

// Token returns the token of the permits that the gateway gives now, or 0 if it gives none.
func (h *Holder) Token() Token {
	if h.mode == clean {
		return h.token
	}
	return 0
}

// InDoubt reports whether no sender may leave the gateway out.
func (h *Holder) InDoubt() bool { return h.mode == inDoubt }

// Crowded reports whether there are so many sets without members that some must leave at once.
func (h *Holder) Crowded() bool { return h.idle.Len() > maxLingering }

// Entry reports whether the gateway holds a set, and returns the generation of the directory that
// has the entry. Token 0 means that none has it yet.
func (h *Holder) Entry(set directory.Set) (token Token, holds bool) {
	k := h.sets[set]
	switch {
	case k == nil || k.refs == 0:
		return 0, false
	case k.phase == entered || k.phase == informing:
		return h.token, true
	}
	return 0, true
}

// Len returns the number of sets.
func (h *Holder) Len() int { return len(h.sets) }

// Hold adds a reference to a set. It reports whether the set is visible: as long as it has the
// reference, a member of it may be acknowledged.
func (h *Holder) Hold(now time.Duration, set directory.Set) (visible bool) {
	k := h.sets[set]
	if k == nil {
		k = &held{set: set}
		h.sets[set] = k
	}
	if k.refs++; k.refs == 1 {
		h.unlist(k)
		switch k.phase {
		case absent:
			h.enqueue(k)
		case entered:
			k.place = h.active.PushBack(k)
			if now-k.at > refreshEntry/2 {
				h.enqueue(k)
			}
		}
	}
	return h.isVisible(k)
}

// Release removes a reference.
func (h *Holder) Release(now time.Duration, set directory.Set) {
	k := h.sets[set]
	if k == nil || k.refs == 0 {
		return
	}
	if k.refs--; k.refs > 0 {
		return
	}
	h.unlist(k)
	k.idle, k.place = now, h.idle.PushBack(k)
}

// Await has w told when the set, which has a reference, is visible.
func (h *Holder) Await(set directory.Set, w Waiter) {
	k := h.sets[set]
	if k == nil || h.isVisible(k) {
		h.visible = append(h.visible, w)
		return
	}
	k.waiters = append(k.waiters, w)
}

func (h *Holder) isVisible(k *held) bool { return h.mode == inDoubt || k.shown }

func (h *Holder) tell(k *held) {
	h.visible = append(h.visible, k.waiters...)
	k.waiters = nil
}

func (h *Holder) unlist(k *held) {
	if k.place != nil {
		h.active.Remove(k.place)
		h.idle.Remove(k.place)
		k.place = nil
	}
}

func (h *Holder) enqueue(k *held) {
	if !k.queued {
		k.queued = true
		h.queue = append(h.queue, k)
	}
}

// TakeVisible returns the waiters whose sets have become visible.
func (h *Holder) TakeVisible() []Waiter {
	list := h.visible
	h.visible = nil
	return list
}

// TakeRounds returns the rounds that every loop has to begin now.
func (h *Holder) TakeRounds() []Round {
	list := h.begun
	h.begun = nil
	return list
}

// Queued returns the number of sets that wait to be entered.
func (h *Holder) Queued() int { return len(h.queue) }
