package chat

import (
	"context"
	"errors"
	"strings"

	"github.com/seed-7410fe32/sluice/chat/store"
	"github.com/seed-7410fe32/sluice/worker"
)

// What blocked people say in rooms is hidden from those who have blocked them. A program, such as
// the page, gets it and the list of who is blocked, so that it can show that something is hidden,
// and show it again at once. A client of somebody who types (types) does not get it.

// groupOfHidden returns the group of the clients that do not get what a user says in rooms.
func groupOfHidden(uid string) string { return hidden + uid }

const hidden = "hides:"

// types reports whether somebody types the requests of the client: it has logged in with a line.
func types(c worker.Call) bool {
	_, ok := c.Attr("types")
	return ok
}

// hide makes the user's clients that type miss what the people of the list say, and no others.
func hide(ctx context.Context, c worker.Call, blocked []store.Person) *event {
	var failed error
	for row, err := range c.Worker().Select(ctx, worker.UID(c.UID()), worker.FieldGroups|worker.FieldAttrs) {
		if failed = errors.Join(failed, err); err != nil || row.Attrs["types"] == "" {
			continue
		}
		client, missing := worker.Client(row.ID), make(map[string]bool)
		for _, who := range blocked {
			missing[groupOfHidden(who.UID)] = true
		}
		for _, g := range row.Groups {
			if strings.HasPrefix(g, hidden) && !missing[g] {
				failed = errors.Join(failed, c.Worker().Leave(ctx, client, g))
			}
			delete(missing, g)
		}
		for g := range missing {
			failed = errors.Join(failed, c.Worker().Join(ctx, client, g))
		}
	}
	if failed != nil {
		return problem("try_again", "what they say in rooms is hidden from the next login on, or try again")
	}
	return nil
}

// publishSaid publishes an event of a message in a room, but not to those from whom it is hidden.
func publishSaid(ctx context.Context, c worker.Call, room string, e *event, said *store.Posted) {
	to := worker.Group(group(room))
	if said.Avoided { // else the question would cost a round trip for nothing
		var without []worker.ClientID
		for row, err := range c.Worker().Select(ctx, worker.Group(groupOfHidden(said.Message.UID)), worker.FieldUID) {
			if err == nil {
				without = append(without, row.ID)
			}
		}
		to = to.Except(without...)
	}
	c.Publish(to, encode(e))
}
