package store

import (
	"context"
	"crypto/rand"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/seed-7410fe32/sluice/internal/kv"
)

const (
	maxName   = 400 // bytes of the name of a conversation
	maxQuote  = 200 // characters of a quote
	maxPage   = 100 // messages of a page
	pageBytes = 128 << 10
)

// newLimit bounds the conversations that an author begins, so that nobody evicts those of others by
// beginning many.
var newLimit = Limit{Key: "new:", Burst: 50, Every: time.Minute}

// post adds a message to a conversation.
func (s *conversations) post(ctx context.Context, p *Post) (posted Posted, err error) {
	if err := s.buckets.takeAll(ctx, p.Limits); err != nil {
		return posted, err
	}
	author := s.mac("author\x00" + p.Author)[:8] // so that no address is stored
	err = s.update(ctx, func(t kv.Tx) error {
		c := Room(p.Room)
		if p.Room == "" {
			if posted.To, err = receiver(t, p); err != nil {
				return err
			}
			c = Private(p.UID, posted.To.UID)
		}
		if !c.valid() {
			return refuse("bad_room", "this is not the name of a conversation")
		}
		if m, before, ok := again(t, c, p); ok {
			posted.Message, posted.Before = m, before
			return nil
		}
		var have meta
		if fresh := newLimit; !load(t, key(keyConversation, string(c)), &have) {
			fresh.Key += author
			if err := s.buckets.takeAll(ctx, []Limit{fresh}); err != nil {
				return err
			}
		}
		posted.Message = Message{
			Seq: have.Last + 1, ID: rand.Text(), Time: now(), UID: p.UID, Name: p.Name, Text: p.Text, Ref: p.Ref, Key: p.Key,
		}
		if p.Reply > 0 {
			if posted.Message.Reply = quote(t, c, p.Reply); posted.Message.Reply == nil {
				return refuse("not_found", "the message that this one replies to is not there any more")
			}
		}
		s.add(t, c, author, &posted.Message)
		if p.Room == "" {
			talked(t, p.UID, posted.To)
			talked(t, posted.To.UID, Person{p.UID, p.Name})
		}
		return nil
	})
	return posted, err
}

// valid reports whether the name can be part of a key.
func (c Conversation) valid() bool {
	return len(c) > 1 && len(c) <= maxName && (c[0] == '#' || c[0] == '@') && strings.IndexByte(string(c), 0) < 0
}

// receiver returns who gets a private message.
func receiver(t kv.Tx, p *Post) (to Person, err error) {
	to.UID = p.To
	if to.UID == "" {
		to.UID = string(t.Get(key(keyName, p.ToKey)))
	}
	who := personOf(t, to.UID)
	if who == nil {
		if p.Present && to.UID != "" {
			return to, nil
		}
		return to, refuse("offline", "nobody has this name")
	}
	to.Name = who.Name
	if !p.Present && !who.comesBack(t) {
		if owner := who.owner(t); owner != "" && owner != to.UID {
			return to, refuse("offline", to.Name+" has gone, and somebody else has this name now")
		}
		return to, refuse("offline", to.Name+" is not online and cannot come back with this name")
	}
	if me := personOf(t, p.UID); me != nil && slices.Contains(me.Blocked, to.UID) {
		return to, refuse("blocked", "you have blocked "+to.Name+": unblock them first")
	}
	if slices.Contains(who.Blocked, p.UID) {
		return to, refuse("blocked", to.Name+" does not take messages from you")
	}
	return to, nil
}

// again returns the message that a request has become before. If the same request is delivered
// again, nobody has seen the message: before is false.
func again(t kv.Tx, c Conversation, p *Post) (m Message, before, ok bool) {
	var r reference
	if !load(t, refKey(p.UID, p.Ref, p.Key), &r) || r.Conversation != c {
		return m, false, false
	}
	b := t.Get(messageKey(c, r.Seq))
	if b == nil || !p.Again && (p.Key == "" || r.Key != p.Key) {
		return m, false, false
	}
	return unpack(b), r.Key != p.Key, true
}

// refKey is the key of the reference to a message by its ref or, without one, by its delivery.
func refKey(uid, ref, delivery string) []byte {
	if ref == "" {
		ref = "\x00" + delivery
	}
	return pairKey(keyRef, uid, ref)
}

// quote returns what a reply shows of a message, or nil if the message is not there.
func quote(t kv.Tx, c Conversation, seq uint64) *Quote {
	b := t.Get(messageKey(c, seq))
	if b == nil {
		return nil
	}
	m := unpack(b)
	return &Quote{Seq: m.Seq, ID: m.ID, UID: m.UID, Name: m.Name, Text: beginning(m.Text)}
}

// beginning returns what a quote has of a text.
func beginning(text string) string {
	if utf8.RuneCountInString(text) > maxQuote {
		return string([]rune(text)[:maxQuote])
	}
	return text
}

// add stores the message and removes what exceeds the bounds.
func (s *conversations) add(t kv.Tx, c Conversation, author string, m *Message) {
	w := s.open(t, c)
	b := packed(author, m)
	t.Put(messageKey(c, m.Seq), b)
	save(t, refKey(m.UID, m.Ref, m.Key), reference{c, m.Seq, m.Key})
	w.count(b, 1)
	w.meta.Last = m.Seq
	if w.meta.Count == 1 {
		w.meta.Oldest = m.Time
	}
	if touched := m.Time / minute; touched != w.meta.Touched {
		t.Delete(timeKey(keyTouched, w.meta.Touched, string(c)))
		t.Put(timeKey(keyTouched, touched, string(c)), nil)
		w.meta.Touched = touched
	}
	for w.meta.Count > 1 && (w.meta.Count > s.cfg.MaxMessages || w.meta.Bytes > s.cfg.MaxConversationBytes) {
		w.remove(w.victim(author))
		s.evictedMessages.Add(1)
	}
	s.expiredMessages.Add(uint64(w.expire(s.oldest())))
	w.close()
	s.evictConversations(t, c)
}

// writer changes one conversation. close stores its figures.
type writer struct {
	t    kv.Tx
	c    Conversation
	meta meta
	sums sums
	cfg  *Config
}

func (s *conversations) open(t kv.Tx, c Conversation) *writer {
	w := &writer{t: t, c: c, cfg: &s.cfg}
	load(t, []byte{keySums}, &w.sums)
	if !load(t, key(keyConversation, string(c)), &w.meta) {
		w.sums.Conversations++
	}
	return w
}

func (w *writer) close() {
	save(w.t, key(keyConversation, string(w.c)), &w.meta)
	save(w.t, []byte{keySums}, &w.sums)
}

// count adds a stored message to all figures, or subtracts it with n -1.
func (w *writer) count(b []byte, n int) {
	w.resize(b, n, n*len(b))
}

// resize changes the figures of the message's author, of the conversation and of all.
func (w *writer) resize(b []byte, messages, size int) {
	k := pairKey(keyShare, string(w.c), authorOf(b))
	var of share
	load(w.t, k, &of)
	of.Count, of.Bytes = of.Count+messages, of.Bytes+size
	if of.Count > 0 {
		save(w.t, k, of)
	} else {
		w.t.Delete(k)
	}
	w.meta.Count, w.meta.Bytes = w.meta.Count+messages, w.meta.Bytes+size
	w.sums.Messages, w.sums.Bytes = w.sums.Messages+messages, w.sums.Bytes+size
}

// victim returns the number of the message that has to go: the oldest one or, if the author of the
// newest has more than half of the conversation, the oldest one of that author. Nobody else can
// have more than half, because only the author's share has grown.
func (w *writer) victim(author string) (seq uint64) {
	var of share
	load(w.t, pairKey(keyShare, string(w.c), author), &of)
	greedy := of.Count > w.cfg.MaxMessages/2 || of.Bytes > w.cfg.MaxConversationBytes/2
	w.t.Ascend(messageKey(w.c, 0), func(k, b []byte) bool {
		n, ok := seqOf(w.c, k)
		if !ok {
			return false
		}
		seq = n
		return greedy && authorOf(b) != author
	})
	return seq
}

// remove removes a message.
func (w *writer) remove(seq uint64) {
	k := messageKey(w.c, seq)
	b := w.t.Get(k)
	m := unpack(b)
	w.count(b, -1)
	w.t.Delete(k)
	ref := refKey(m.UID, m.Ref, m.Key)
	var r reference
	if load(w.t, ref, &r) && r.Conversation == w.c && r.Seq == seq {
		w.t.Delete(ref)
	}
	if m.Time <= w.meta.Oldest {
		w.meta.Oldest = w.first().Time
	}
}

// first returns the oldest message, or one that does not expire if there is none.
func (w *writer) first() (m Message) {
	m.Time = math.MaxInt64
	w.t.Ascend(messageKey(w.c, 0), func(k, b []byte) bool {
		if _, ok := seqOf(w.c, k); ok {
			m = unpack(b)
		}
		return false
	})
	return m
}

// expire removes the messages from before a time. It returns how many they were.
func (w *writer) expire(before int64) (n int) {
	for w.meta.Count > 0 && w.meta.Oldest < before {
		w.remove(w.first().Seq)
		n++
	}
	return n
}

// read returns a page of a conversation.
func (s *conversations) read(_ context.Context, r *Read) (page Page, err error) {
	err = s.view(func(t kv.Tx) error {
		page = s.page(t, r)
		return nil
	})
	return page, err
}

func (s *conversations) page(t kv.Tx, r *Read) (page Page) {
	c := r.Conversation
	page.Conversation = c
	if uid := c.With(r.UID); uid != "" {
		page.With = Person{UID: uid}
		if who := personOf(t, uid); who != nil {
			page.With.Name = who.Name
		}
	}
	var have meta
	load(t, key(keyConversation, string(c)), &have)
	page.Last = have.Last
	if me := personOf(t, r.UID); me != nil {
		page.Read = me.Reads[c.Name(r.UID)]
	}
	limit, size, oldest := r.Limit, 0, s.oldest()
	if limit < 1 || limit > maxPage {
		limit = maxPage
	}
	take := func(k, b []byte) bool {
		if _, ok := seqOf(c, k); !ok {
			return false
		}
		m := unpack(b)
		if m.Time < oldest {
			return r.After > 0 // older ones are too old as well
		}
		if len(page.Messages) == limit || size > pageBytes {
			page.More = true
			return false
		}
		size += len(b)
		page.Messages = append(page.Messages, m)
		return true
	}
	if r.After > 0 {
		t.Ascend(messageKey(c, r.After+1), take)
		page.Gap = gap(page.Messages, r.After, have.Last)
	} else {
		before := r.Before
		if before == 0 {
			before = math.MaxUint64
		}
		t.Descend(messageKey(c, before), take)
		slices.Reverse(page.Messages)
	}
	t.Ascend(messageKey(c, 0), func(k, b []byte) bool {
		seq, ok := seqOf(c, k)
		if ok && unpack(b).Time < oldest {
			return true
		}
		if ok {
			page.First = seq
		}
		return false
	})
	return page
}

// gap reports whether messages after the number are missing among those that follow it.
func gap(messages []Message, after, last uint64) bool {
	for _, m := range messages {
		if m.Seq != after+1 {
			return true
		}
		after = m.Seq
	}
	return len(messages) == 0 && last > after
}
