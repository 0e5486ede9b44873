package chat

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-7410fe32/sluice/worker"
)

const (
	maxRooms  = 20   // rooms of a client
	maxListed = 1000 // users or rooms in a list
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
	room, err := cleanName(room)
	if err != nil {
		return problem("bad_room", err.Error())
	}
	in := rooms(c)
	if !slices.Contains(in, room) {
		if len(in) >= maxRooms {
			return problem("too_many_rooms", fmt.Sprintf("at most %d rooms: leave a room first", maxRooms))
		}
		setRooms(c, append(in, room))
		c.Join(group(room))
		publish(c, room, &event{Type: "joined", Room: room, Name: name(c)})
	}
	return h.showRoom(ctx, c, room)
}

// showRoom sends the history of a room and returns its users.
func (h *chat) showRoom(ctx context.Context, c worker.Call, room string) *event {
	items, err := h.history.Items(ctx, group(room))
	if err != nil {
		items = nil // go on without the history
	}
	past := &event{Type: "history", Room: room}
	for _, b := range items {
		past.Messages = append(past.Messages, document(b))
	}
	send(c, past)
	users := h.users(ctx, c, room)
	if i, found := slices.BinarySearch(users.Users, name(c)); !found && users.Type == "users" {
		users.Users = slices.Insert(users.Users, i, name(c)) // its own Join is sent with this answer
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
	req.Room = cmp.Or(req.Room, currentRoom(c)) // a typed line has no room
	if !slices.Contains(rooms(c), req.Room) {
		return problem("not_in_room", "join the room first")
	}
	text, err := cleanText(req.Text)
	if err != nil {
		return problem("bad_text", err.Error())
	}
	id := rand.Text()
	m := encode(&event{
		Type: "message", Room: req.Room, From: name(c), Text: text,
		ID: id, Ref: req.Ref, Time: time.Now().UnixMilli(),
	})
	_ = h.history.Append(ctx, group(req.Room), m.Data) // a message too large for the history is still published
	c.Publish(worker.Group(group(req.Room)), m)
	h.sent.add(ctx, c, req, id)
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
		return problem("offline", to+" is not online")
	}
	e := &event{Type: "private", From: name(c), To: to, Text: text, ID: rand.Text(), Ref: req.Ref}
	c.Publish(worker.UIDs(uid(to), c.UID()), encode(e))
	h.sent.add(ctx, c, req, e.ID)
	return nil
}

func (h *chat) typing(c worker.Call, room string) *event {
	if !slices.Contains(rooms(c), room) {
		return problem("not_in_room", "join the room first")
	}
	hint := encode(&event{Type: "typing", Room: room, From: name(c)})
	// A slow client gets only the newest hint, or none.
	hint.Overflow, hint.Conflate = worker.DropNewest, "typing "+room+" "+name(c)
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
			return problem("try_again", "could not list the rooms, try again")
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
			return problem("try_again", "could not list the users of the room, try again")
		}
		list.Users = append(list.Users, row.Attrs["name"])
	}
	slices.Sort(list.Users)
	list.Users = slices.Compact(list.Users)
	return list
}
