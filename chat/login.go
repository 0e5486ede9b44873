package chat

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"strings"

	"github.com/seed-7410fe32/sluice/worker"
)

// login gives a client its name. One client at a time has a name; case does not matter. A client
// that sends the token of the last login takes over the name and the rooms of the earlier client.
// So a lost connection does not lock its owner out.
func (h *chat) login(ctx context.Context, c worker.Call, req *request) *event {
	if name(c) != "" {
		return problem("bad_request", "already logged in")
	}
	newName, err := cleanName(req.Name)
	if err != nil {
		return problem("bad_name", err.Error())
	}
	old, taken, err := holder(ctx, c, uid(newName), req.Token)
	if err != nil {
		return problem("try_again", "could not check whether the name is free, try again")
	}
	if taken && old == nil {
		return problem("name_taken", "this name is in use")
	}
	token := rand.Text()
	if old != nil {
		newName, token = old["name"], req.Token // the name keeps its case
	}
	c.MergeAttrs(map[string]string{"name": newName, "token": token, "rooms": old["rooms"]})
	if old == nil {
		c.Bind(uid(newName))
		c.After(0, settleRace)
	} else {
		c.BindExclusive(uid(newName))
	}
	send(c, &event{Type: "welcome", Name: newName, Token: token})
	for _, room := range rooms(c) {
		c.Join(group(room))
		send(c, h.showRoom(ctx, c, room))
	}
	if req.Room == "" {
		return nil
	}
	return h.join(ctx, c, req.Room)
}

// holder queries the clients that have the uid. taken reports whether there is one. mine has the
// attributes of the one that has the token, or is nil.
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

// settleRace runs when a login has reached the gateways. If two clients have taken a free name at
// the same time, at least one of them sees both here. The client with the smaller id keeps the
// name.
func settleRace(ctx context.Context, c worker.Call) error {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	winner := c.ID()
	var all []worker.ClientID
	for row, err := range c.Worker().Select(ctx, worker.UID(c.UID()), 0) {
		if err != nil {
			return nil // without an answer the client keeps the name
		}
		all = append(all, row.ID)
		if row.ID.String() < winner.String() {
			winner = row.ID
		}
	}
	if len(all) < 2 {
		return nil
	}
	taken := encode(problem("name_taken", "this name is in use"))
	return c.Worker().CloseWith(ctx, worker.Clients(all...).Except(winner), taken)
}

// uid returns the uid of a user name.
func uid(name string) string { return "user:" + strings.ToLower(name) }
