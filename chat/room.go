package chat

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/seed-7410fe32/sluice/chat/store"
	"github.com/seed-7410fe32/sluice/worker"
)

const (
	maxListed  = 1000 // users or rooms in a list
	maxCounted = 5000 // rooms whose people are counted for a list
)

// group returns the name of a room's group.
func group(room string) string { return "room:" + room }

// rooms returns the rooms of a client, in the order in which it has joined them.
func rooms(c worker.Call) []string {
	list, _ := c.Attr("rooms")
	return strings.FieldsFunc(list, func(r rune) bool { return r == '\n' })
}

// currentRoom returns the room that the client has joined last, or "".
func currentRoom(c worker.Call) string {
	in := rooms(c)
	if len(in) == 0 {
		return ""
	}
	return in[len(in)-1]
}

func setRooms(c worker.Call, rooms []string) {
	c.MergeAttrs(map[string]string{"rooms": strings.Join(rooms, "\n")})
}

func (h *chat) join(ctx context.Context, c worker.Call, room string) *event {
	room, err := cleanRoom(room)
	if err != nil {
		return problem("bad_room", err.Error())
	}
	me := store.Person{UID: c.UID(), Name: name(c)}
	if in := rooms(c); !slices.Contains(in, room) {
		if h.imitates(ctx, c, room) {
			return problem("bad_room", "there is a room whose name looks the same: choose another name")
		}
		if err := stored(c).Member(ctx, &store.Member{UID: me.UID, Room: room}); err != nil {
			return failed(err)
		}
		setRooms(c, append(in, room))
		mine := others(ctx, c)
		mine.join(c, me.UID, me.Name, room)
		if len(mine) > len(mine.in(group(room))) {
			tellOthers(c, &event{Type: "self", Joined: room})
		}
	}
	send(c, h.page(ctx, c, &store.Read{UID: me.UID, Conversation: store.Room(room), Limit: pageSize}))
	return h.present(ctx, c, room, me)
}

// groupOfLook returns the group of the people in rooms whose names look alike.
func groupOfLook(room string) string { return "rooms like:" + look(room) }

// groupOfPeople returns the group that has one connection of each user in a room.
func groupOfPeople(room string) string { return "people:" + room }

// imitates reports whether there are people in another room whose name looks like that of room. A
// name in ASCII imitates none, so that nobody can keep people out of a room.
func (h *chat) imitates(ctx context.Context, c worker.Call, room string) bool {
	if ascii(room) {
		return false
	}
	counts, err := c.Worker().Counts(ctx, []worker.Target{worker.Group(group(room)), worker.Group(groupOfLook(room))})
	return err == nil && counts[1] > counts[0]
}

// present returns the users of a room. The client's own Join is sent with this answer.
func (h *chat) present(ctx context.Context, c worker.Call, room string, me store.Person) *event {
	users := h.users(ctx, c, room)
	if i, found := slices.BinarySearch(users.Users, me.Name); !found && users.Type == "users" {
		users.Users = slices.Insert(users.Users, i, me.Name)
		users.UIDs = slices.Insert(users.UIDs, i, me.UID)
	}
	return users
}

// named returns a room's name as it is written in rooms. A name that cannot be one stays.
func named(room string) string {
	if clean, err := cleanRoom(room); err == nil {
		return clean
	}
	return room
}

func (h *chat) leave(ctx context.Context, c worker.Call, room string) *event {
	in, room := rooms(c), named(room)
	i := slices.Index(in, room)
	if i < 0 {
		return problem("not_in_room", "you are not in this room")
	}
	if err := stored(c).Member(ctx, &store.Member{UID: c.UID(), Room: room, Leave: true}); err != nil {
		return failed(err)
	}
	mine := others(ctx, c)
	mine.leave(ctx, c, room)
	if len(mine.in(group(room))) > 0 {
		tellOthers(c, &event{Type: "self", Left: room})
	}
	in = slices.Delete(in, i, i+1)
	setRooms(c, in)
	c.Leave(group(room))
	c.Leave(groupOfPeople(room))
	if !slices.ContainsFunc(in, func(other string) bool { return look(other) == look(room) }) {
		c.Leave(groupOfLook(room))
	}
	return nil
}

func (h *chat) typing(c worker.Call, room string) *event {
	if !slices.Contains(rooms(c), room) {
		return problem("not_in_room", "join the room first")
	}
	hint := encode(&event{Type: "typing", Room: room, From: name(c), UID: c.UID()})
	// A slow client gets only the newest hint, or none.
	hint.Overflow, hint.Conflate = worker.DropNewest, "typing "+room+" "+name(c)
	c.Publish(worker.Group(group(room)).Except(c.ID()), hint)
	return nil
}

// rooms lists the rooms with most people. It counts before it leaves rooms out, so that many empty
// rooms do not hide the others.
func (h *chat) rooms(ctx context.Context, c worker.Call) *event {
	list := &event{Type: "rooms"}
	for g, err := range c.Worker().Groups(ctx, worker.Everyone()) {
		if errors.Is(err, worker.ErrPartial) || len(list.Rooms) == maxCounted {
			list.Partial = true
			break
		}
		if err != nil {
			return problem("try_again", "could not list the rooms, try again")
		}
		if room, ok := strings.CutPrefix(g, group("")); ok {
			list.Rooms = append(list.Rooms, roomCount{Name: room})
		}
	}
	for some := range slices.Chunk(list.Rooms, maxListed) {
		groups := make([]worker.Target, len(some))
		for i := range some {
			groups[i] = worker.Group(groupOfPeople(some[i].Name))
		}
		counts, err := c.Worker().Counts(ctx, groups)
		list.Partial = list.Partial || err != nil
		for i, n := range counts {
			some[i].Count = n
		}
	}
	slices.SortFunc(list.Rooms, func(a, b roomCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Name, b.Name))
	})
	if len(list.Rooms) > maxListed {
		list.Rooms, list.Partial = list.Rooms[:maxListed], true
	}
	return list
}

func (h *chat) users(ctx context.Context, c worker.Call, room string) *event {
	list := &event{Type: "users", Room: room}
	uids := make(map[string]string) // by name
	for row, err := range c.Worker().Select(ctx, worker.Group(group(room)), worker.FieldUID|worker.FieldAttrs) {
		if errors.Is(err, worker.ErrPartial) || len(uids) == maxListed {
			list.Partial = true
			break
		}
		if err != nil {
			return problem("try_again", "could not list the users of the room, try again")
		}
		uids[row.Attrs["name"]] = row.UID
	}
	list.Users = slices.Sorted(maps.Keys(uids))
	for _, name := range list.Users {
		list.UIDs = append(list.UIDs, uids[name])
	}
	return list
}
