package chat

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/seed-7410fe32/sluice/worker"
)

const (
	maxRooms  = 20   // that one client is in
	maxListed = 1000 // users or rooms that a list tells
)

// group is the gateways' name of a room.
func group(room string) string { return "room:" + room }

// rooms are those that a client is in, the last joined last.
func rooms(c worker.Call) []string {
	list, _ := c.Attr("rooms")
	return strings.FieldsFunc(list, func(r rune) bool { return r == '\n' })
}

// currentRoom is the room joined last, empty when there is none.
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
	room, err := cleanName(room)
	if err != nil {
		return problem("bad_room", err.Error())
	}
	in := rooms(c)
	if !slices.Contains(in, room) {
		if len(in) >= maxRooms {
			return problem("too_many_rooms", "leave a room first")
		}
		setRooms(c, append(in, room))
		c.Join(group(room))
		publish(c, room, &event{Type: "joined", Room: room, Name: name(c)})
	}
	return h.showRoom(ctx, c, room)
}

// showRoom sends what was said in a room, and returns who is there.
func (h *chat) showRoom(ctx context.Context, c worker.Call, room string) *event {
	said, err := h.history.Items(ctx, group(room))
	if err != nil {
		said = nil // a history is a convenience
	}
	past := &event{Type: "history", Room: room}
	for _, b := range said {
		past.Messages = append(past.Messages, document(b))
	}
	send(c, past)
	users := h.users(ctx, c, room)
	if i, found := slices.BinarySearch(users.Users, name(c)); !found && users.Type == "users" {
		users.Users = slices.Insert(users.Users, i, name(c)) // our own joining is not there yet: it goes out with this answer
	}
	return users
}

func (h *chat) leave(c worker.Call, room string) *event {
	in := rooms(c)
	i := slices.Index(in, room)
	if i < 0 {
		return problem("not_in_room", "you are not in this room")
	}
	publish(c, room, &event{Type: "left", Room: room, Name: name(c)})
	c.Leave(group(room))
	setRooms(c, slices.Delete(in, i, i+1))
	return nil
}

func (h *chat) say(ctx context.Context, c worker.Call, req *request) *event {
	req.Room = cmp.Or(req.Room, currentRoom(c)) // a telnet user just types
	if !slices.Contains(rooms(c), req.Room) {
		return problem("not_in_room", "join the room first")
	}
	text, err := cleanText(req.Text)
	if err != nil {
		return problem("bad_text", err.Error())
	}
	said := encode(&event{Type: "message", Room: req.Room, From: name(c), Text: text, ID: rand.Text(), Ref: req.Ref, Time: time.Now().UnixMilli()})
	_ = h.history.Append(ctx, group(req.Room), said.Data) // what is too big for the history is said all the same
	c.Publish(worker.Group(group(req.Room)), said)
	return nil
}

func (h *chat) private(ctx context.Context, c worker.Call, req *request) *event {
	to, err := cleanName(req.To)
	if err != nil {
		return problem("bad_name", err.Error())
	}
	text, err := cleanText(req.Text)
	if err != nil {
		return problem("bad_text", err.Error())
	}
	if online, err := c.Worker().Count(ctx, worker.UID(uid(to))); err == nil && online == 0 {
		return problem("offline", to+" is not here")
	}
	c.Publish(worker.UIDs(uid(to), c.UID()), encode(&event{Type: "private", From: name(c), To: to, Text: text, ID: rand.Text(), Ref: req.Ref}))
	return nil
}

func (h *chat) typing(c worker.Call, room string) *event {
	if !slices.Contains(rooms(c), room) {
		return problem("not_in_room", "join the room first")
	}
	hint := encode(&event{Type: "typing", Room: room, From: name(c)})
	hint.Overflow, hint.Conflate = worker.DropNewest, "typing "+room+" "+name(c) // whoever reads slowly can do without
	c.Publish(worker.Group(group(room)).Except(c.ID()), hint)
	return nil
}

func (h *chat) rooms(ctx context.Context, c worker.Call) *event {
	var groups []worker.Target
	list := &event{Type: "rooms"}
	for g, err := range c.Worker().Groups(ctx, worker.Everyone()) {
		switch {
		case errors.Is(err, worker.ErrPartial):
			list.Partial = true
		case err != nil:
			return problem("try_again", "could not ask for the rooms")
		case strings.HasPrefix(g, group("")):
			groups = append(groups, worker.Group(g))
			list.Rooms = append(list.Rooms, roomCount{Name: strings.TrimPrefix(g, group(""))})
		}
		if len(groups) == maxListed {
			list.Partial = true
			break
		}
	}
	counts, err := c.Worker().Counts(ctx, groups)
	list.Partial = list.Partial || err != nil
	for i, n := range counts {
		list.Rooms[i].Count = n
	}
	slices.SortFunc(list.Rooms, func(a, b roomCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Name, b.Name))
	})
	return list
}

func (h *chat) users(ctx context.Context, c worker.Call, room string) *event {
	list := &event{Type: "users", Room: room}
	for row, err := range c.Worker().Select(ctx, worker.Group(group(room)), worker.FieldAttrs) {
		if errors.Is(err, worker.ErrPartial) || len(list.Users) == maxListed {
			list.Partial = true
			break
		}
		if err != nil {
			return problem("try_again", "could not ask who is in the room")
		}
		list.Users = append(list.Users, row.Attrs["name"])
	}
	slices.Sort(list.Users)
	list.Users = slices.Compact(list.Users)
	return list
}
