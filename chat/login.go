package chat

import (
	"context"
	"iter"

	"github.com/seed-7410fe32/sluice/worker"
)

// login gives a client its name. One user at a time has a name, or another one that looks like it.
// A client that sends the token of its last login keeps its uid, and takes over the rooms of the
// earlier client if that is still connected. So a lost connection does not lock its owner out, and
// nobody else gets the name before reservedFor is over.
func (h *chat) login(ctx context.Context, c worker.Call, req *request) *event {
	if name(c) != "" {
		return problem("bad_request", "already logged in")
	}
	newName, err := cleanUser(req.Name)
	if err != nil {
		return problem("bad_name", err.Error())
	}
	me := h.identities.identify(req.Token, newName)
	if uid := h.identities.reservation(ctx, newName); uid != "" && !me.mayTake(uid) {
		return problem("name_taken", "this name, or one like it, is kept for somebody who was here minutes ago")
	}
	earlier := map[string]string{}
	for row, err := range h.holders(ctx, c, newName) {
		if err != nil {
			return problem("try_again", "could not check whether the name is free, try again")
		}
		if !me.mayTake(row.UID) {
			return problem("name_taken", "this name, or one like it, is in use")
		}
		if row.UID == me.uid {
			earlier, newName = row.Attrs, row.Attrs["name"] // the name keeps its case
		}
	}
	if me.uid == "" {
		me.uid = newUID()
	}
	returns := ""
	if !req.typed || req.Token != "" {
		returns = "yes" // only programs, and people who know their token, can come back
	}
	c.MergeAttrs(map[string]string{"name": newName, "rooms": earlier["rooms"], "returns": returns})
	c.BindExclusive(me.uid)
	for _, g := range groupsOfName(newName) {
		c.Join(g)
	}
	c.After(0, h.settle)
	h.identities.reserve(ctx, c)
	token := h.identities.token(me.uid, newName)
	send(c, &event{Type: "welcome", Name: newName, Key: key(newName), UID: me.uid, Token: token})
	for _, room := range rooms(c) {
		joinGroups(c, room)
		send(c, h.showRoom(ctx, c, room))
	}
	if req.Room == "" {
		return nil
	}
	return h.join(ctx, c, req.Room)
}

// holders returns the clients that have a name, or one that looks like it.
func (h *chat) holders(ctx context.Context, c worker.Call, name string) iter.Seq2[worker.ClientInfo, error] {
	return c.Worker().Select(ctx, worker.Groups(groupsOfName(name)...), worker.FieldUID|worker.FieldAttrs)
}

// settle runs when a login has reached the gateways. If two users have taken a name at the same
// time, at least one of them sees both here. The older uid keeps the name. So does a user who has
// come back to a name that was given away meanwhile.
func (h *chat) settle(ctx context.Context, c worker.Call) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	taken := problem("name_taken", "this name belongs to somebody who has had it before")
	var younger []worker.ClientID
	for row, err := range h.holders(ctx, c, name(c)) {
		switch {
		case err != nil:
			return nil // without an answer the client keeps the name
		case row.UID < c.UID():
			send(c, taken)
			c.Close()
			return nil
		case row.UID > c.UID():
			younger = append(younger, row.ID)
		}
	}
	if len(younger) == 0 {
		return nil
	}
	return c.Worker().CloseWith(ctx, worker.Clients(younger...), encode(taken))
}
