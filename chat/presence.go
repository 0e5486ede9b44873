package chat

import (
	"context"
	"slices"

	"github.com/seed-7410fe32/sluice/worker"
)

// A user may have several connections. Each of them is in the group of its rooms. One of them, for
// each room, is also in the group of the people there, so that people are counted once.

// connections are the other connections of a user, with their groups.
type connections []worker.ClientInfo

// others returns the other connections of the client's user. If a gateway does not answer, those
// there are missing.
func others(ctx context.Context, c worker.Call) connections { return connectionsOf(ctx, c, c.UID()) }

func connectionsOf(ctx context.Context, c worker.Call, uid string) (all connections) {
	for row, err := range c.Worker().Select(ctx, worker.UID(uid), worker.FieldUID|worker.FieldGroups) {
		if err == nil && row.ID != c.ID() {
			all = append(all, row)
		}
	}
	return all
}

// in returns those that are in a group.
func (all connections) in(group string) (some connections) {
	for _, row := range all {
		if slices.Contains(row.Groups, group) {
			some = append(some, row)
		}
	}
	return some
}

// join adds the client to the groups of a room, and tells the room unless the user is there.
func (all connections) join(c worker.Call, uid, name, room string) {
	c.Join(group(room))
	c.Join(groupOfLook(room))
	if len(all.in(group(room))) == 0 {
		c.Join(groupOfPeople(room))
		publish(c, room, &event{Type: "joined", Room: room, Name: name, UID: uid})
	}
}

// leave tells a room that the user has left, unless another connection is there. That one is
// counted then.
func (all connections) leave(ctx context.Context, c worker.Call, room string) {
	still := all.in(group(room))
	if len(still) == 0 {
		publish(c, room, &event{Type: "left", Room: room, Name: name(c), UID: c.UID()})
		return
	}
	if people := groupOfPeople(room); len(still.in(people)) == 0 {
		_ = c.Worker().Join(ctx, worker.Client(still[0].ID), people) // else the number is too low by one
	}
}

const maxUID = 64 // bytes; the store makes shorter ones

// presence answers whether a user is connected.
func presence(ctx context.Context, c worker.Call, uid string) *event {
	if uid == "" || len(uid) > maxUID {
		return problem("bad_request", "presence needs toUid, which events have as uid")
	}
	n, err := c.Worker().Count(ctx, worker.UID(uid))
	if err != nil && n == 0 {
		return problem("try_again", "could not find out who is here, try again")
	}
	return &event{Type: "presence", ToUID: uid, Away: n == 0}
}
