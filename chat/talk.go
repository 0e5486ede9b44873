package chat

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/seed-7410fe32/sluice/chat/store"
	"github.com/seed-7410fe32/sluice/worker"
)

const (
	pageSize = 50 // messages of a history
	maxEmoji = 16 // characters of a reaction
)

// say stores a message of a room and publishes it.
func (h *chat) say(ctx context.Context, c worker.Call, req *request) *event {
	room := cmp.Or(named(req.Room), currentRoom(c)) // a typed line has no room
	if !slices.Contains(rooms(c), room) {
		return problem("not_in_room", "join the room first")
	}
	text, err := cleanText(req.Text)
	if err != nil {
		return problem("bad_text", err.Error())
	}
	posted, err := stored(c).Post(ctx, &store.Post{
		UID: c.UID(), Name: name(c), Room: room, Author: author(c), Text: text, Ref: req.Ref, Key: req.key,
		Again: req.Again, Reply: req.Reply, Limits: h.limits.ofRoom(c, room),
	})
	if err != nil {
		return failed(err)
	}
	if posted.Before {
		return &event{Type: "sent", Room: room, ID: posted.Message.ID, Seq: posted.Message.Seq}
	}
	publishSaid(ctx, c, room, messageEvent(room, store.Person{}, &posted.Message), &posted)
	return nil
}

// private stores a message for one user and sends it to all connections of both. A user who is not
// connected finds it at the next login.
func (h *chat) private(ctx context.Context, c worker.Call, req *request) *event {
	to, err := cleanName(req.To)
	if err != nil && req.ToUID == "" {
		return problem("bad_name", err.Error())
	}
	text, err := cleanText(req.Text)
	if err != nil {
		return problem("bad_text", err.Error())
	}
	post := &store.Post{
		UID: c.UID(), Name: name(c), To: req.ToUID, ToKey: groupOfKey(to), Author: author(c), Text: text, Ref: req.Ref,
		Key: req.key, Again: req.Again, Reply: req.Reply, Limits: h.limits.ofUser(c),
	}
	target := worker.Group(post.ToKey)
	if post.To != "" {
		target = worker.UID(post.To)
	}
	for row, err := range c.Worker().Select(ctx, target, worker.FieldUID) {
		if err != nil && !post.Present {
			return problem("try_again", "could not find "+to+", try again")
		}
		if err == nil {
			post.Present, post.To = true, row.UID
		}
	}
	posted, err := stored(c).Post(ctx, post)
	if err != nil {
		return failed(err)
	}
	if posted.Before {
		return &event{Type: "sent", WithUID: posted.To.UID, ID: posted.Message.ID, Seq: posted.Message.Seq}
	}
	e := messageEvent("", posted.To, &posted.Message)
	e.Away = !post.Present
	c.Publish(worker.UIDs(posted.To.UID, c.UID()), encode(e))
	return nil
}

// conversationOf returns the conversation that a request is about, or the event that refuses it.
func conversationOf(ctx context.Context, c worker.Call, req *request) (store.Conversation, *event) {
	if req.To != "" && req.ToUID == "" { // typed
		to, err := cleanName(req.To)
		if err != nil {
			return "", problem("bad_name", err.Error())
		}
		who, err := stored(c).Find(ctx, &store.Find{Key: groupOfKey(to)})
		if err != nil {
			return "", failed(err)
		}
		req.ToUID = who.UID
	}
	if req.ToUID != "" {
		return store.Private(c.UID(), req.ToUID), nil
	}
	room := cmp.Or(named(req.Room), currentRoom(c))
	if !slices.Contains(rooms(c), room) {
		return "", problem("not_in_room", "join the room first")
	}
	return store.Room(room), nil
}

// history returns a page of messages.
func (h *chat) history(ctx context.Context, c worker.Call, req *request) *event {
	of, refused := conversationOf(ctx, c, req)
	if refused != nil {
		return refused
	}
	return h.page(ctx, c, &store.Read{
		UID: c.UID(), Conversation: of, Before: req.Before, After: req.After, Limit: cmp.Or(req.Limit, pageSize),
	})
}

// page returns messages of a conversation as an event.
func (h *chat) page(ctx context.Context, c worker.Call, r *store.Read) *event {
	r.Hide = types(c)
	p, err := stored(c).Read(ctx, r)
	if err != nil {
		return failed(err)
	}
	room, _ := r.Conversation.Room()
	e := &event{
		Type: "history", Room: room, With: p.With.Name, WithUID: p.With.UID, Before: r.Before, After: r.After,
		First: p.First, Last: p.Last, Read: p.Read, More: p.More, Gap: p.Gap,
	}
	me := store.Person{UID: r.UID, Name: name(c)}
	for i := range p.Messages {
		to := p.With
		if p.Messages[i].UID != r.UID {
			to = me
		}
		e.Messages = append(e.Messages, messageEvent(room, to, &p.Messages[i]))
	}
	return e
}

// change edits, deletes or reacts, and publishes the message as it is then.
func (h *chat) change(ctx context.Context, c worker.Call, req *request) *event {
	of, refused := conversationOf(ctx, c, req)
	if refused != nil {
		return refused
	}
	change := &store.Change{UID: c.UID(), Conversation: of, Seq: req.Seq, Off: req.Off, Limits: h.limits.ofUser(c)}
	switch req.Type {
	case "delete":
		change.Delete = true
	case "react":
		if change.Emoji = req.Emoji; !isEmoji(req.Emoji) {
			return problem("bad_emoji", "a reaction is one emoji, or :name: of letters, digits, _, + and -")
		}
	default:
		text, err := cleanText(req.Text)
		if err != nil {
			return problem("bad_text", err.Error())
		}
		change.Text = text
	}
	changed, err := stored(c).Change(ctx, change)
	if err != nil {
		return failed(err)
	}
	m := &changed.Message
	e := &event{Type: "changed", UID: c.UID(), Seq: m.Seq, ID: m.ID, Ref: req.Ref}
	if room, ok := of.Room(); ok {
		e.Room, e.Message = room, messageEvent(room, store.Person{}, m)
		publishSaid(ctx, c, room, e, &changed)
		return nil
	}
	to := changed.To
	if m.UID != c.UID() {
		to = store.Person{UID: c.UID(), Name: name(c)}
	}
	e.ToUID, e.Message = changed.To.UID, messageEvent("", to, m)
	c.Publish(worker.UIDs(changed.To.UID, c.UID()), encode(e))
	return nil
}

// isEmoji reports whether s is an emoji, or the name of one between colons.
func isEmoji(s string) bool {
	if utf8.RuneCountInString(s) > maxEmoji {
		return false
	}
	if name, ok := strings.CutPrefix(s, ":"); ok {
		name, ok = strings.CutSuffix(name, ":")
		return ok && name != "" && !strings.ContainsFunc(name, func(r rune) bool {
			return r >= utf8.RuneSelf || !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("_+-", r)
		})
	}
	const joiner, variation, keycap = '\u200d', '\ufe0f', '\u20e3'
	symbol := false
	runes := []rune(s)
	for i, r := range runes {
		styled := i+1 < len(runes) && (runes[i+1] == variation || runes[i+1] == keycap)
		switch {
		case unicode.In(r, unicode.So, unicode.Sm) || r == keycap:
			symbol = true
		case styled && (unicode.IsPunct(r) || unicode.IsDigit(r)): // such as a keycap
			symbol = true
		case r == joiner, r == variation, unicode.Is(unicode.Sk, r): // Sk: the colors of skin
		case r >= 0xe0020 && r <= 0xe007f: // of the flags of regions
		default:
			return false
		}
	}
	return symbol
}

// mark notes how far the user has read a conversation, or whether it is muted, and tells the other
// connections of the user.
func (h *chat) mark(ctx context.Context, c worker.Call, req *request) *event {
	of, refused := conversationOf(ctx, c, req)
	if refused != nil {
		return refused
	}
	m := &store.Mark{UID: c.UID(), Conversation: of, Seq: req.Seq}
	if req.Type == "mute" {
		m.Seq, m.Mute, m.Unmute = 0, !req.Off, req.Off
	}
	if err := stored(c).Mark(ctx, m); err != nil {
		return failed(err)
	}
	room, _ := of.Room()
	e := &event{Type: "read", Room: room, WithUID: of.With(c.UID()), Seq: m.Seq}
	if req.Type == "read" {
		tellOthers(c, e)
		return nil
	}
	e.Type, e.On, e.Ref = "muted", m.Mute, req.Ref
	tellAll(c, e)
	return nil
}
