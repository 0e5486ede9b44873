package store

import (
	"context"
	"time"

	"github.com/seed-7410fe32/sluice/internal/kv"
)

const (
	sweepEvery = 10 * time.Minute
	sweepBatch = 100 // conversations or people that are removed in one update
)

// sweepUntil removes what has expired, until ctx ends.
func (s *Store) sweepUntil(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	var conversations, people uint64 // removed until the last line in the log
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if s.shared && !s.served.Swap(false) {
			continue // another process is called, and sweeps
		}
		if err := s.sweep(ctx); err != nil {
			s.log.Error("chat: expired messages were not removed", "err", err)
		}
		c, p := s.evictedConversations.Load(), s.evictedPeople.Load()
		if c > conversations || p > people {
			s.log.Warn("chat: the store is full, the oldest were removed", "conversations", c-conversations,
				"people", p-people)
		}
		conversations, people = c, p
	}
}

// sweep removes what has expired, in steps, so that others can change something between them.
func (s *Store) sweep(ctx context.Context) error {
	for _, step := range []func(kv.Tx) (more bool){s.conversations.expireConversations, expirePeople} {
		for more := true; more && ctx.Err() == nil; {
			if err := s.update(ctx, func(t kv.Tx) error { more = step(t); return nil }); err != nil {
				return err
			}
		}
	}
	return s.conversations.expireMessages(ctx)
}

// expireConversations removes conversations whose messages have all expired.
func (s *conversations) expireConversations(t kv.Tx) (more bool) {
	before, n := s.oldest()/minute, 0
	kv.Within(t, []byte{keyTouched}, sweepBatch, func(k, _ []byte) bool {
		touched, name := timed(k)
		if touched >= before {
			return false
		}
		s.expiredMessages.Add(uint64(s.drop(t, Conversation(name))))
		n++
		return true
	})
	return n == sweepBatch
}

// expireMessages removes expired messages of the other conversations.
func (s *conversations) expireMessages(ctx context.Context) error {
	var old []Conversation // that have expired messages
	before := s.oldest()
	err := s.view(func(t kv.Tx) error {
		t.Ascend([]byte{keyConversation}, func(k, v []byte) bool {
			if k[0] != keyConversation {
				return false
			}
			var m meta
			if load(t, k, &m); m.Oldest < before {
				old = append(old, Conversation(k[1:]))
			}
			return true
		})
		return nil
	})
	for _, c := range old {
		if err != nil || ctx.Err() != nil {
			break
		}
		err = s.update(ctx, func(t kv.Tx) error {
			if t.Get(key(keyConversation, string(c))) == nil {
				return nil
			}
			w := s.open(t, c)
			s.expiredMessages.Add(uint64(w.expire(before)))
			w.close()
			return nil
		})
	}
	return err
}

// evictConversations removes the conversations whose newest message is oldest, until all are within
// their bounds. It keeps c.
func (s *conversations) evictConversations(t kv.Tx, c Conversation) {
	for {
		var all sums
		load(t, []byte{keySums}, &all)
		if all.Conversations <= s.cfg.MaxConversations && all.Bytes <= s.cfg.MaxBytes {
			return
		}
		var oldest Conversation
		t.Ascend([]byte{keyTouched}, func(k, _ []byte) bool {
			if k[0] != keyTouched {
				return false
			}
			_, name := timed(k)
			if Conversation(name) == c {
				return true
			}
			oldest = Conversation(name)
			return false
		})
		if oldest == "" {
			return
		}
		s.evictedMessages.Add(uint64(s.drop(t, oldest)))
		s.evictedConversations.Add(1)
	}
}

// drop removes a conversation and returns the number of its messages.
func (s *conversations) drop(t kv.Tx, c Conversation) (messages int) {
	w := s.open(t, c)
	messages = w.meta.Count
	for w.meta.Count > 0 {
		first := w.first()
		if first.Seq == 0 {
			break
		}
		w.remove(first.Seq)
	}
	t.Delete(timeKey(keyTouched, w.meta.Touched, string(c)))
	t.Delete(key(keyConversation, string(c)))
	w.sums.Conversations--
	save(t, []byte{keySums}, &w.sums)
	return messages
}

// expirePeople forgets people who have not been here for long.
func expirePeople(t kv.Tx) (more bool) {
	n := 0
	kv.Within(t, []byte{keyExpires}, sweepBatch, func(k, _ []byte) bool {
		expires, uid := timed(k)
		if expires > now()/minute {
			return false
		}
		forget(t, uid)
		n++
		return true
	})
	return n == sweepBatch
}

// forget removes a person.
func forget(t kv.Tx, uid string) {
	p := personOf(t, uid)
	if p == nil {
		return
	}
	p.freeName(t)
	t.Delete(timeKey(keyExpires, p.Expires, uid))
	t.Delete(key(keyPerson, uid))
	var all sums
	load(t, []byte{keySums}, &all)
	all.People--
	save(t, []byte{keySums}, all)
}
