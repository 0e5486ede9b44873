package chat

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"strings"

	"github.com/seed-7410fe32/sluice/worker"
)

// login gives a client its name. A name belongs to one client at a time, whatever its case; who comes back with the token of its last login takes it over, so that a lost
// connection does not keep its owner out, and the rooms with it.
func (h *chat) login(ctx context.Context, c worker.Call, req *request) *event {
	if name(c) != "" {
		return problem("bad_request", "you are logged in")
	}
	who, err := cleanName(req.Name)
	if err != nil {
		return problem("bad_name", err.Error())
	}
	old, taken, err := holder(ctx, c, uid(who), req.Token)
	if err != nil {
		return problem("try_again", "could not ask whether the name is free")
	}
	if taken && old == nil {
		return problem("name_taken", "this name is in use")
	}
	token := rand.Text()
	if old != nil {
		who, token = old["name"], req.Token // as the others know it, whatever its case is now
	}
	c.MergeAttrs(map[string]string{"name": who, "token": token, "rooms": old["rooms"]})
	if old == nil {
		c.Bind(uid(who))
		c.After(0, settleRace)
	} else {
		c.BindExclusive(uid(who))
	}
	send(c, &event{Type: "welcome", Name: who, Token: token})
	for _, room := range rooms(c) {
		c.Join(group(room))
		send(c, h.showRoom(ctx, c, room))
	}
	if req.Room == "" {
		return nil
	}
	return h.join(ctx, c, req.Room)
}

// holder asks who has the uid: nobody, somebody, or the owner of the token, whose attributes it returns.
func holder(ctx context.Context, c worker.Call, uid, token string) (mine map[string]string, taken bool, err error) {
	for row, err := range c.Worker().Select(ctx, worker.UID(uid), worker.FieldAttrs) {
		if err != nil {
			return nil, false, err
		}
		taken = true
		if token != "" && subtle.ConstantTimeCompare([]byte(row.Attrs["token"]), []byte(token)) == 1 {
			mine = row.Attrs
		}
	}
	return mine, taken, nil
}

// settleRace runs when a login has reached the gateways. Of two that took a free name at the same moment at least one sees both here, and the client with the
// smaller id keeps it.
func settleRace(ctx context.Context, c worker.Call) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	winner := c.ID()
	var all []worker.ClientID
	for row, err := range c.Worker().Select(ctx, worker.UID(c.UID()), 0) {
		if err != nil {
			return nil // who can be seen is unique
		}
		all = append(all, row.ID)
		if row.ID.String() < winner.String() {
			winner = row.ID
		}
	}
	if len(all) < 2 {
		return nil
	}
	return c.Worker().CloseWith(ctx, worker.Clients(all...).Except(winner), encode(problem("name_taken", "this name is in use")))
}

// uid is what a name is bound as.
func uid(name string) string { return "user:" + strings.ToLower(name) }
