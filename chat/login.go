package chat

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"strings"

	"sluice/worker"
)

// login gives a client its name. A name belongs to one client at a time, whatever its case; who comes back with the token of its last login takes it over, so that a lost
// connection does not keep its owner out, and the rooms with it.
func (h *Chat) login(ctx context.Context, c *worker.Client, req *request) *event {
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
	if err := c.MergeAttrs(map[string]string{"name": who, "token": token, "rooms": old["rooms"]}); err != nil {
		return problem("try_again", "could not log in")
	}
	if old == nil {
		_ = c.Bind(uid(who)) // the gateway is there, or the client is not
		_, _ = c.After(0, settleRace)
	} else {
		_ = c.BindOnly(uid(who))
	}
	send(c, &event{Type: "welcome", Name: who, Token: token})
	for _, room := range rooms(c) {
		_ = c.Join(group(room))
		send(c, h.look(ctx, c, room))
	}
	if req.Room == "" {
		return nil
	}
	return h.join(ctx, c, req.Room)
}

// holder asks who has the uid: nobody, somebody, or the owner of the token, whose attributes it returns.
func holder(ctx context.Context, c *worker.Client, uid, token string) (mine map[string]string, taken bool, err error) {
	for row, err := range c.Select(ctx, worker.Query{UIDs: []string{uid}, Fields: worker.FieldAttrs}) {
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
func settleRace(c *worker.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), askWithin)
	defer cancel()
	winner := c.ID()
	var all []worker.ClientID
	for row, err := range c.Select(ctx, worker.Query{UIDs: []string{c.UID()}}) {
		if err != nil {
			return // who can be seen is unique
		}
		all = append(all, row.ID)
		if row.ID.String() < winner.String() {
			winner = row.ID
		}
	}
	for _, id := range all {
		if id != winner {
			_ = c.Client(id).CloseWith(encode(problem("name_taken", "this name is in use")))
		}
	}
}

// uid is what a name is bound as.
func uid(name string) string { return "user:" + strings.ToLower(name) }
