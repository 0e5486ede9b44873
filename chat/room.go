package chat

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

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
	room, err := cleanRoom(room)
	if err != nil {
		return problem("bad_room", err.Error())
	}
	in := rooms(c)
	if !slices.Contains(in, room) {
		if len(in) >= maxRooms {
			return problem("too_many_rooms", fmt.Sprintf("at most %d rooms: leave a room first", maxRooms))
		}
		if h.imitates(ctx, c, room) {
			return problem("bad_room", "there is a room whose name looks the same: choose another name")
		}
		setRooms(c, append(in, room))
		joinGroups(c, room)
		publish(c, room, &event{Type: "joined", Room: room, Name: name(c), UID: c.UID()})
	}
	return h.showRoom(ctx, c, room)
}

// groupOfLook returns the group of the people in rooms whose names look alike.
func groupOfLook(room string) string { return "rooms like:" + look(room) }

// joinGroups adds the client to the groups of a room.
func joinGroups(c worker.Call, room string) {
	c.Join(group(room))
	c.Join(groupOfLook(room))
}

// imitates reports whether there are people in another room whose name looks like that of room. A
// name in ASCII imitates none, so that nobody can keep people out of a room.
func (h *chat) imitates(ctx context.Context, c worker.Call, room string) bool {
	if ascii(room) {
		return false
	}
	counts, err := c.Worker().Counts(ctx, []worker.Target{worker.Group(group(room)), worker.Group(groupOfLook(room))})
	return err == nil && counts[1] > counts[0]
}

// showRoom sends the history of a room and returns its users.
func (h *chat) showRoom(ctx context.Context, c worker.Call, room string) *event {
	send(c, &event{Type: "history", Room: room, Messages: h.history.past(ctx, room)})
	users := h.users(ctx, c, room)
	if i, found := slices.BinarySearch(users.Users, name(c)); !found && users.Type == "users" {
		users.Users = slices.Insert(users.Users, i, name(c)) // its own Join is sent with this answer
		users.UIDs = slices.Insert(users.UIDs, i, c.UID())
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

func (h *chat) leave(c worker.Call, room string) *event {
	in, room := rooms(c), named(room)
	i := slices.Index(in, room)
	if i < 0 {
		return problem("not_in_room", "you are not in this room")
	}
	publish(c, room, &event{Type: "left", Room: room, Name: name(c), UID: c.UID()})
	in = slices.Delete(in, i, i+1)
	setRooms(c, in)
	c.Leave(group(room))
	if !slices.ContainsFunc(in, func(other string) bool { return look(other) == look(room) }) {
		c.Leave(groupOfLook(room))
	}
	return nil
}

func (h *chat) say(ctx context.Context, c worker.Call, req *request) *event {
	room := cmp.Or(named(req.Room), currentRoom(c)) // a typed line has no room
	if !slices.Contains(rooms(c), room) {
		return problem("not_in_room", "join the room first")
	}
	text, err := cleanText(req.Text)
	if err != nil {
		return problem("bad_text", err.Error())
	}
	if !h.limits.take(ctx, group(room), roomLimit) {
		return slowDown("too many messages in this room")
	}
	e := &event{Type: "message", Room: room, From: name(c), UID: c.UID(), Text: text, ID: rand.Text(), Ref: req.Ref}
	m := encode(e)
	h.history.remember(ctx, room, h.identities.author(c), m.Data)
	c.Publish(worker.Group(group(room)), m)
	h.sent.add(ctx, c, req, e.ID)
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
	e := &event{Type: "private", From: name(c), UID: c.UID(), To: to, Text: text, ID: rand.Text(), Ref: req.Ref}
	target := worker.Group(groupOfKey(to))
	if req.ToUID != "" {
		target = worker.UID(req.ToUID)
	}
	for row, err := range c.Worker().Select(ctx, target, worker.FieldUID|worker.FieldAttrs) {
		if err != nil && e.ToUID == "" {
			return problem("try_again", "could not find "+to+", try again")
		}
		if err == nil {
			e.To, e.ToUID = row.Attrs["name"], row.UID
		}
	}
	if e.ToUID == "" {
		return h.absent(ctx, c, to)
	}
	c.Publish(worker.UIDs(e.ToUID, c.UID()), encode(e))
	h.sent.add(ctx, c, req, e.ID)
	return nil
}

// absent says that a user is not online. The name may have a new owner.
func (h *chat) absent(ctx context.Context, c worker.Call, name string) *event {
	if n, err := c.Worker().Count(ctx, worker.Group(groupOfKey(name))); err == nil && n > 0 {
		return problem("offline", name+" has gone, and somebody else has this name now")
	}
	return problem("offline", name+" is not online")
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
