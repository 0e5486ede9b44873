package narrow

import (
	"slices"
	"time"

	"github.com/seed-7410fe32/sluice/internal/directory"
)

// Observe tells the Holder the present generation of the directory.
func (h *Holder) Observe(token Token) {
	switch {
	case token == 0 || token == h.token:
	case h.mode == clean:
		h.Fail()
	case h.mode == inDoubt:
		h.token = token
		h.restart()
	}
}

// Fail is the event that the gateway cannot keep its entries right: the directory has failed, or
// has lost its data. All permits are withdrawn.
func (h *Holder) Fail() {
	if h.mode != clean {
		return
	}
	h.mode, h.token = withdrawing, 0
	h.Doubts++
	h.begin(nil, nil)
}

// begin begins a round.
func (h *Holder) begin(of []*held, sets map[directory.Reader][]directory.Set) uint64 {
	h.counter++
	h.rounds[h.counter] = &round{left: h.loops, of: of}
	h.begun = append(h.begun, Round{h.counter, sets})
	return h.counter
}

// RoundOver is the event that the senders of one loop have forgotten what a round names.
func (h *Holder) RoundOver(number uint64) {
	r := h.rounds[number]
	if r == nil {
		return
	}
	if r.left--; r.left > 0 {
		return
	}
	delete(h.rounds, number)
	if r.of == nil {
		h.mode = inDoubt
		h.restart()
		return
	}
	for _, k := range r.of {
		if k.phase == informing && k.round == number {
			h.isEntered(k)
		}
	}
}

// isEntered notes that a set is entered, and that each sender knows it.
func (h *Holder) isEntered(k *held) {
	k.phase, k.shown = entered, true
	h.tell(k)
	if k.refs > 0 {
		h.unlist(k)
		k.place = h.active.PushBack(k)
	}
}

// restart has all sets entered again, while no sender has a permit.
func (h *Holder) restart() {
	for set, k := range h.sets {
		h.tell(k)
		k.shown = false
		if k.phase == entering || k.phase == leaving {
			continue // its call has not returned
		}
		h.unlist(k)
		k.phase = absent
		if k.refs > 0 {
			h.enqueue(k)
		} else {
			delete(h.sets, set) // its entry expires
		}
	}
}

// TakeEnters returns up to most sets that have to be entered now. Entered must be called for them.
func (h *Holder) TakeEnters(now time.Duration, most int) (sets []directory.Set) {
	if h.mode == withdrawing {
		return nil
	}
	for e := h.active.Front(); e != nil && len(h.queue) < most; e = h.active.Front() {
		k := e.Value.(*held)
		if now-k.at < refreshEntry {
			break
		}
		h.unlist(k)
		h.enqueue(k)
	}
	i := 0
	for ; i < len(h.queue) && len(sets) < most; i++ {
		k := h.queue[i]
		k.queued = false
		if k.refs == 0 || k.phase != absent && k.phase != entered {
			continue
		}
		h.unlist(k)
		k.phase = entering
		h.calls++
		sets = append(sets, k.set)
	}
	if h.queue = slices.Delete(h.queue, 0, i); len(h.queue) == 0 && cap(h.queue) > 1024 {
		h.queue = nil
	}
	h.settle()
	return sets
}

// settle ends the doubt when all sets are entered.
func (h *Holder) settle() {
	if h.mode == inDoubt && h.token != 0 && len(h.queue) == 0 && h.calls == 0 {
		h.mode = clean
	}
}

// Entered is the directory's answer to TakeEnters: for each set who may have it in memory without
// this gateway, and the generation. Token 0 means that it has not answered.
func (h *Holder) Entered(now time.Duration, sets []directory.Set, readers [][]directory.Reader, token Token) {
	h.calls -= len(sets)
	if h.mode == clean && token != h.token {
		h.Fail()
	}
	if h.mode == inDoubt && token != 0 {
		h.Observe(token)
	}
	inform := make(map[directory.Reader][]directory.Set)
	var informed []*held
	for i, set := range sets {
		k := h.sets[set]
		switch {
		case k == nil || k.phase != entering:
		case token == 0 || h.mode == withdrawing:
			k.phase = absent
			if k.refs > 0 {
				h.enqueue(k)
			}
		default:
			h.Entries++
			k.at = now
			before := len(informed)
			if h.mode == clean && !k.shown {
				for _, r := range readers[i] {
					if r == Workers || r.Gateway != h.gateway {
						inform[r] = append(inform[r], set)
						informed = append(informed[:before], k)
					}
				}
			}
			if len(informed) == before {
				h.isEntered(k)
			}
		}
	}
	if len(informed) > 0 {
		h.Informings += uint64(len(informed))
		number := h.begin(informed, inform)
		for _, k := range informed {
			k.phase, k.round = informing, number
		}
	}
	h.settle()
}

// TakeLeaves returns up to most sets that have been without members for long enough. Left must be
// called for them.
func (h *Holder) TakeLeaves(now time.Duration, most int) (sets []directory.Set) {
	for e := h.idle.Front(); e != nil && len(sets) < most; e = h.idle.Front() {
		k := e.Value.(*held)
		if now-k.idle < lingerTime && h.idle.Len() <= maxLingering || k.phase == entering || k.phase == informing {
			break
		}
		h.unlist(k)
		k.shown = false
		if k.phase == absent || h.mode != clean {
			delete(h.sets, k.set)
			continue
		}
		k.phase = leaving
		h.calls++
		sets = append(sets, k.set)
	}
	return sets
}

// Left is the event that the directory has answered to TakeLeaves, or has not.
func (h *Holder) Left(sets []directory.Set) {
	h.calls -= len(sets)
	for _, set := range sets {
		k := h.sets[set]
		if k == nil || k.phase != leaving {
			continue
		}
		k.phase = absent
		h.Removals++
		if k.refs > 0 {
			h.enqueue(k)
		} else {
			delete(h.sets, set)
		}
	}
	h.settle()
}
