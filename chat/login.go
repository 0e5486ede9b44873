package chat

import (
	"context"
	"errors"
	"strings"

	"github.com/seed-7410fe32/sluice/chat/store"
	"github.com/seed-7410fe32/sluice/worker"
)

// login gives a client its name. One user at a time has a name, or another one that looks like it.
// A user is identified by a uid, which everybody sees. A client that sends the token of an earlier
// login, or the password of the name, is the same user: it has the same uid and rooms. So a lost
// connection does not lock its owner out.
func (h *chat) login(ctx context.Context, c worker.Call, req *request) *event {
	if name(c) != "" {
		return problem("bad_request", "already logged in")
	}
	newName, err := cleanUser(req.Name)
	if err != nil {
		return problem("bad_name", err.Error())
	}
	l := store.Login{
		Name: newName, Keys: groupsOfName(newName), Token: req.Token, Password: req.Password, Key: req.key,
		Returns: !req.typed || req.Token != "", // only programs, and people who know their token, can come back
		Limits:  h.limits.ofAddress(c), New: h.limits.ofPeople(c),
	}
	if req.typed && strings.Count(req.Token, ".") != 2 {
		l.Token, l.Password = "", req.Token // people type either one in the same place
	}
	for row, err := range c.Worker().Select(ctx, worker.Groups(l.Keys...), worker.FieldUID) {
		if errors.Is(err, worker.ErrPartial) { // a gateway has crashed, or cannot be reached
			l.Partial = true
			break
		}
		if err != nil {
			return problem("try_again", "could not check whether the name is free, try again")
		}
		l.Online = append(l.Online, row.UID)
	}
	me, err := stored(c).Login(ctx, &l)
	if err != nil {
		return failed(err)
	}
	c.MergeAttrs(map[string]string{"name": me.Name, "rooms": strings.Join(roomsOf(me), "\n")})
	c.Bind(me.UID)
	for _, g := range l.Keys {
		c.Join(g)
	}
	send(c, welcome(me))
	h.resume(ctx, c, req, me)
	if req.Room == "" {
		return nil
	}
	return h.join(ctx, c, req.Room)
}

// roomsOf returns the rooms of a user, in the order in which they were joined.
func roomsOf(me store.Account) (rooms []string) {
	for _, s := range me.Conversations {
		if room, ok := s.Conversation.Room(); ok {
			rooms = append(rooms, room)
		}
	}
	return rooms
}

func welcome(me store.Account) *event {
	e := &event{
		Type: "welcome", Name: me.Name, Key: key(me.Name), UID: me.UID, Token: me.Token, Protected: me.Protected,
		Blocked: me.Blocked, Generation: me.Generation,
	}
	for _, s := range me.Conversations {
		room, _ := s.Conversation.Room()
		e.Conversations = append(e.Conversations, conversation{
			Room: room, With: s.With.Name, WithUID: s.With.UID, Last: s.Last, Read: s.Read, Muted: s.Muted,
		})
	}
	return e
}

// resume adds the client to its user's rooms, and sends what it does not have: the newest messages
// of the rooms or, if the client says which ones it has, those that have come since.
func (h *chat) resume(ctx context.Context, c worker.Call, req *request, me store.Account) {
	if req.Generation != me.Generation {
		req.Since = nil // the numbers are those of other messages
	}
	mine := connectionsOf(ctx, c, me.UID)
	for _, s := range me.Conversations {
		room, isRoom := s.Conversation.Room()
		since := req.Since[s.Conversation.Name(me.UID)]
		if isRoom {
			mine.join(c, me.UID, me.Name, room)
		} else if since == 0 || since >= s.Last {
			continue
		}
		r := store.Read{UID: me.UID, Conversation: s.Conversation, After: since, Limit: pageSize}
		if since == 0 || since > s.Last {
			r.After = 0
		}
		e := h.page(ctx, c, &r)
		e.Gap = e.Gap || since > s.Last
		send(c, e)
		if isRoom {
			send(c, h.present(ctx, c, room, me.Person))
		}
	}
}

// password sets, changes or removes the password of the client's name.
func (h *chat) password(ctx context.Context, c worker.Call, req *request) *event {
	token, err := stored(c).SetPassword(ctx, &store.SetPassword{
		UID: c.UID(), Old: req.Old, New: req.Password, Key: req.key, Limits: h.limits.ofUser(c),
	})
	if err != nil {
		return failed(err)
	}
	return &event{Type: "protected", On: req.Password != "", Token: token}
}

// block blocks or unblocks somebody, by uid or name.
func (h *chat) block(ctx context.Context, c worker.Call, req *request) *event {
	b := store.Block{UID: c.UID(), Other: req.UID, Off: req.Off}
	if b.Other == "" {
		other, err := cleanName(req.Name)
		if err != nil {
			return problem("bad_name", err.Error())
		}
		b.Key = groupOfKey(other)
	}
	blocked, err := stored(c).Block(ctx, &b)
	if r, ok := errors.AsType[*store.Refusal](err); ok && r.Code == "not_found" && b.Off && req.UID == "" {
		return problem("not_found", "you have not blocked this name")
	}
	if err != nil {
		return failed(err)
	}
	tellAll(c, &event{Type: "blocks", Blocked: blocked, Ref: req.Ref})
	return nil
}
