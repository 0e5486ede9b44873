package store

import (
	"context"
	"slices"
	"time"

	"github.com/seed-7410fe32/sluice/internal/kv"
)

const (
	changeWithin = 15 * time.Minute // to edit and delete a message
	maxEmojis    = 12               // different ones at a message
	maxReactions = 100              // people with the same emoji
)

// change edits or deletes a message of the person, or reacts to a message.
func (s *conversations) change(ctx context.Context, p *Change) (posted Posted, err error) {
	if err := s.buckets.takeAll(ctx, p.Limits); err != nil {
		return posted, err
	}
	err = s.update(ctx, func(t kv.Tx) error {
		b := t.Get(messageKey(p.Conversation, p.Seq))
		if b == nil || !p.Conversation.valid() {
			return refuse("not_found", "there is no such message any more")
		}
		m := unpack(b)
		other := personOf(t, p.Conversation.With(p.UID))
		if other != nil && !p.Delete && slices.Contains(other.Blocked, p.UID) {
			return refuse("blocked", other.Name+" does not take messages from you")
		}
		if err := p.apply(&m); err != nil {
			return err
		}
		m.Rev++
		w := s.open(t, p.Conversation)
		changed := packed(authorOf(b), &m)
		t.Put(messageKey(p.Conversation, p.Seq), changed)
		w.resize(changed, 0, len(changed)-len(b))
		if p.Emoji == "" {
			w.requote(&m)
		}
		w.close()
		posted.Message = m
		if uid := p.Conversation.With(p.UID); uid != "" {
			posted.To.UID = uid
			if other != nil {
				posted.To.Name = other.Name
			}
		}
		return nil
	})
	return posted, err
}

// requote changes what replies show of a message that was edited or deleted.
func (w *writer) requote(m *Message) {
	var replies []Message
	var old [][]byte
	w.t.Ascend(messageKey(w.c, m.Seq+1), func(k, b []byte) bool {
		if _, ok := seqOf(w.c, k); !ok {
			return false
		}
		if r := unpack(b); r.Reply != nil && r.Reply.ID == m.ID {
			replies, old = append(replies, r), append(old, b)
		}
		return true
	})
	for i := range replies {
		replies[i].Reply.Text = beginning(m.Text)
		changed := packed(authorOf(old[i]), &replies[i])
		w.t.Put(messageKey(w.c, replies[i].Seq), changed)
		w.resize(changed, 0, len(changed)-len(old[i]))
	}
}

// apply changes the message.
func (p *Change) apply(m *Message) error {
	if m.Deleted && m.UID == p.UID && p.Delete {
		return nil // the request may have been delivered again
	}
	if _, room := p.Conversation.Room(); !room && p.Conversation.With(p.UID) == "" || m.Deleted {
		return refuse("not_found", "there is no such message any more")
	}
	if p.Emoji != "" {
		return m.react(p.UID, p.Emoji, p.Off)
	}
	switch {
	case m.UID != p.UID:
		return refuse("not_yours", "this message is not yours")
	case now()-m.Time > changeWithin.Milliseconds():
		return refuse("too_late", "a message can be changed for 15 minutes")
	case p.Delete:
		m.Deleted, m.Text, m.Reply, m.Reactions = true, "", nil, nil
	default:
		m.Text, m.Edited = p.Text, now()
	}
	return nil
}

// react adds a reaction or takes it back.
func (m *Message) react(uid, emoji string, off bool) error {
	at := slices.IndexFunc(m.Reactions, func(r Reaction) bool { return r.Emoji == emoji })
	switch {
	case at < 0 && off:
		return nil
	case at < 0 && len(m.Reactions) == maxEmojis:
		return refuse("too_many_reactions", "a message has at most 12 different reactions")
	case at < 0:
		m.Reactions = append(m.Reactions, Reaction{emoji, []string{uid}})
		return nil
	}
	r := &m.Reactions[at]
	i := slices.Index(r.UIDs, uid)
	switch {
	case off && i >= 0:
		if r.UIDs = slices.Delete(r.UIDs, i, i+1); len(r.UIDs) == 0 {
			m.Reactions = slices.Delete(m.Reactions, at, at+1)
		}
	case !off && i < 0 && len(r.UIDs) >= maxReactions:
		return refuse("too_many_reactions", "at most 100 people can react with the same emoji")
	case !off && i < 0:
		r.UIDs = append(r.UIDs, uid)
	}
	return nil
}
