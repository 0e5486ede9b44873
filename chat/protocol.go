package chat

import (
	"errors"
	"strings"
	"time"

	"github.com/seed-7410fe32/sluice/chat/store"
	"github.com/seed-7410fe32/sluice/worker"
)

// request is a message from a client. A conversation is a Room, or the uid ToUID of the one with
// whom the client talks in private. People who type use the name To instead.
type request struct {
	Type  string `json:"type"`
	Ref   string `json:"ref"` // optional identifier of the request, which the answer repeats
	Name  string `json:"name"`
	Token string `json:"token"`
	Room  string `json:"room"`
	To    string `json:"to"`
	ToUID string `json:"toUid"`
	Text  string `json:"text"`

	Again bool   `json:"again"` // the message may have been accepted already, with the same ref
	Reply uint64 `json:"reply"` // number of the message that this one replies to
	Seq   uint64 `json:"seq"`   // number of a message
	Emoji string `json:"emoji"`
	Off   bool   `json:"off"` // takes back what the request without it does
	UID   string `json:"uid"`

	Before uint64 `json:"before"` // numbers of messages
	After  uint64 `json:"after"`
	Limit  int    `json:"limit"`

	Password   string            `json:"password"`
	Old        string            `json:"old"`   // password
	Since      map[string]uint64 `json:"since"` // newest message that the client has, by "#room" or "@uid"
	Generation string            `json:"generation"`

	typed bool   // a line of text and not JSON
	key   string // of the worker's message
}

// event is a message to a client. Fields that are empty, 0 or false are left out.
type event struct {
	Type  string `json:"type"`
	Name  string `json:"name,omitempty"`
	Key   string `json:"key,omitempty"` // of Name: the same for every spelling
	Token string `json:"token,omitempty"`
	Room  string `json:"room,omitempty"`
	From  string `json:"from,omitempty"`
	UID   string `json:"uid,omitempty"` // identifies the user of From or Name
	To    string `json:"to,omitempty"`
	ToUID string `json:"toUid,omitempty"` // identifies the user of To
	Text  string `json:"text,omitempty"`
	Code  string `json:"code,omitempty"`
	ID    string `json:"id,omitempty"`
	Ref   string `json:"ref,omitempty"` // of the request that the event answers

	// Of messages.
	Seq       uint64           `json:"seq,omitempty"`
	Reply     *store.Quote     `json:"reply,omitempty"`
	Edited    int64            `json:"edited,omitempty"` // when, in Unix milliseconds
	Deleted   bool             `json:"deleted,omitempty"`
	Reactions []store.Reaction `json:"reactions,omitempty"`
	Rev       int              `json:"rev,omitempty"`     // grows by 1 with each change
	Away      bool             `json:"away,omitempty"`    // the user ToUID is not connected, and gets it later
	Message   *event           `json:"message,omitempty"` // as it is now

	// Of lists. They are partial if a gateway did not answer, or if they are too long.
	Rooms   []roomCount `json:"rooms,omitempty"`
	Users   []string    `json:"users,omitempty"`
	UIDs    []string    `json:"uids,omitempty"` // of Users, in their order
	Partial bool        `json:"partial,omitempty"`

	// Of histories. With and WithUID say with whom the client talks in private.
	With     string   `json:"with,omitempty"`
	WithUID  string   `json:"withUid,omitempty"`
	Messages []*event `json:"messages,omitempty"`
	Before   uint64   `json:"before,omitempty"`
	After    uint64   `json:"after,omitempty"`
	First    uint64   `json:"first,omitempty"`
	Last     uint64   `json:"last,omitempty"`
	Read     uint64   `json:"read,omitempty"`
	More     bool     `json:"more,omitempty"`
	Gap      bool     `json:"gap,omitempty"`

	// Of the user's own account.
	Conversations []conversation `json:"conversations,omitempty"`
	Blocked       []store.Person `json:"blocked,omitempty"`
	Protected     bool           `json:"protected,omitempty"`
	Generation    string         `json:"generation,omitempty"`
	Joined        string         `json:"joined,omitempty"` // room, by another connection of the user
	Left          string         `json:"left,omitempty"`
	On            bool           `json:"on,omitempty"`

	Time int64 `json:"time"` // Unix milliseconds
}

type roomCount struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

// conversation is what a user knows of a room or a private talk.
type conversation struct {
	Room    string `json:"room,omitempty"`
	With    string `json:"with,omitempty"`
	WithUID string `json:"withUid,omitempty"`
	Last    uint64 `json:"last,omitempty"`
	Read    uint64 `json:"read,omitempty"`
	Muted   bool   `json:"muted,omitempty"`
}

// messageEvent returns the event of a message. to is the receiver of a private one.
func messageEvent(room string, to store.Person, m *store.Message) *event {
	e := &event{
		Type: "message", Room: room, From: m.Name, UID: m.UID, Text: m.Text, ID: m.ID, Ref: m.Ref, Seq: m.Seq,
		Reply: m.Reply, Edited: m.Edited, Deleted: m.Deleted, Reactions: m.Reactions, Rev: m.Rev, Time: m.Time,
	}
	if room == "" {
		e.Type, e.To, e.ToUID = "private", to.Name, to.UID
	}
	return e
}

func problem(code, text string) *event { return &event{Type: "error", Code: code, Text: text} }

func slowDown(why string) *event {
	return problem("slow_down", why+": this one was not accepted, send it again later")
}

// failed returns the event of an error of the store.
func failed(err error) *event {
	r, ok := errors.AsType[*store.Refusal](err)
	switch {
	case !ok:
		return problem("try_again", "the store of the chat does not answer, try again")
	case r.Code != store.CodeSlowDown:
		return problem(r.Code, r.Text)
	case strings.HasPrefix(r.Key, "room:"):
		return slowDown("too many messages in this room")
	case strings.HasPrefix(r.Key, "new:"):
		return slowDown("too many new conversations")
	case strings.HasPrefix(r.Key, "people:"):
		return slowDown("too many new people from this address")
	case strings.HasPrefix(r.Key, "password:"):
		return slowDown("too many passwords")
	}
	return slowDown("too many requests")
}

// encode returns an event as a text message.
func encode(e *event) worker.Message {
	if e.Time == 0 {
		e.Time = time.Now().UnixMilli()
	}
	b, err := marshal(e)
	if err != nil { // impossible: every field of an event can be encoded
		panic(err)
	}
	return worker.TextBytes(b)
}

// answer sends the client the result of its request with the ref.
func answer(c worker.Call, ref string, e *event) {
	e.Ref = ref
	send(c, e)
}

func send(c worker.Call, e *event) { c.Send(encode(e)) }

func publish(c worker.Call, room string, e *event) { c.Publish(worker.Group(group(room)), encode(e)) }

// tellOthers sends an event to the other connections of the client's user.
func tellOthers(c worker.Call, e *event) { c.Publish(worker.UID(c.UID()).Except(c.ID()), encode(e)) }

// tellAll sends an event to all connections of the client's user.
func tellAll(c worker.Call, e *event) { c.Publish(worker.UID(c.UID()), encode(e)) }
