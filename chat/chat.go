// Package chat is a chat server, and the template for a sluice worker of one's own: rooms, private messages, history, presence.
//
// It keeps nothing about clients in memory. Who somebody is stands in the session's attributes and uid, who is in a room in groups: a worker that
// is replaced loses nothing, and nobody sees it. Only the history and the rate limits are in a store, which may forget: the one in memory ends with its worker, so that who
// enters a room later sees what was said since. Nor does the half minute in which to log in go on with the next worker.
//
// Messages are JSON documents with a "type", the same over WebSocket, text lines and JSON sockets. A line that is no JSON object is read as a telnet
// user's command (request.go); what is no command is said in the room joined last, which is also meant where a command needs a room and has none.
//
// A request may have a "ref", a name of 1 to 24 visible characters that its client chooses. What
// answers the request repeats it: the error that refuses it, the message or private message that it
// has become, which others and the history get with it too. So a client knows which of its messages
// was taken and which was not; until it has heard one or the other it knows nothing. Only what is
// too long to be read when it comes too fast (32 KB), or is no request at all, is refused without a
// ref.
package chat

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/seed-7410fe32/sluice/worker"
	"github.com/seed-7410fe32/sluice/worker/store"
)

// chat is the business: its methods connect, message and close are those of the worker.Handler.
type chat struct {
	history store.History
	rates   store.Store
	start   time.Time // what the rates are counted from, out of reach of clock changes
}

// New returns a chat that remembers what was said in the history.
func New(history store.History) (worker.Handler, error) {
	rates, err := store.NewMemory(store.MemoryConfig{MaxBytes: 8 << 20, TTL: time.Minute})
	if err != nil {
		return worker.Handler{}, fmt.Errorf("chat: %w", err)
	}
	h := &chat{history: history, rates: rates, start: time.Now()}
	return worker.Handler{Connect: h.connect, Message: h.message, Close: h.close}, nil
}

// NewHistory returns a history in this process's memory.
func NewHistory() (store.History, error) {
	memory, err := store.NewMemory(store.MemoryConfig{TTL: 24 * time.Hour})
	if err != nil {
		return store.History{}, fmt.Errorf("chat: %w", err)
	}
	return store.History{Store: memory, Keep: historyKeep}, nil
}

const (
	historyKeep = 50
	loginWithin = 30 * time.Second
	askWithin   = 3 * time.Second // for questions to the gateways
)

// request is what a client sends.
type request struct {
	Type  string `json:"type"`
	Name  string `json:"name"`
	Token string `json:"token"`
	Room  string `json:"room"`
	To    string `json:"to"`
	Text  string `json:"text"`
	Ref   string `json:"ref"` // the client's name for the request, which the answer repeats; empty: none
}

// event is what a client gets.
type event struct {
	Type     string      `json:"type"`
	Name     string      `json:"name,omitempty"`
	Token    string      `json:"token,omitempty"`
	Room     string      `json:"room,omitempty"`
	From     string      `json:"from,omitempty"`
	To       string      `json:"to,omitempty"`
	Text     string      `json:"text,omitempty"`
	Code     string      `json:"code,omitempty"`
	ID       string      `json:"id,omitempty"`
	Ref      string      `json:"ref,omitempty"` // of the request that this answers
	Rooms    []roomCount `json:"rooms,omitempty"`
	Users    []string    `json:"users,omitempty"`
	Messages []document  `json:"messages,omitempty"`
	Partial  bool        `json:"partial,omitempty"` // a gateway did not answer: there may be more
	Time     int64       `json:"time"`              // Unix milliseconds
}

type roomCount struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

// connect gives a newcomer half a minute to say who it is.
func (h *chat) connect(_ context.Context, c worker.Call) error {
	c.After(loginWithin, func(_ context.Context, c worker.Call) error {
		if c.UID() == "" {
			send(c, problem("login_timeout", "log in within 30 seconds"))
			c.Close()
		}
		return nil
	})
	return nil
}

// message reads a request and carries it out. What is wrong with a request its client is told: it is
// no error of the handler.
func (h *chat) message(ctx context.Context, c worker.Call, m worker.Message) error {
	if !h.allowed(ctx, c) {
		answer(c, refOf(m.Data), problem("slow_down", "that was too fast and was not done: wait a moment and send it again"))
		return nil
	}
	req, err := parse(m.Data)
	if err != nil {
		send(c, problem("bad_request", err.Error()))
		return nil
	}
	if name, _ := c.Attr("name"); name == "" && req.Type != "login" && req.Type != "ping" && req.Type != "quit" {
		answer(c, req.Ref, problem("login_first", `log in first: /login NAME, or {"type":"login","name":"…"}`))
		return nil
	}
	if e := h.do(ctx, c, &req); e != nil {
		answer(c, req.Ref, e)
	}
	return nil
}

// answer sends the client what its request with the ref has led to.
func answer(c worker.Call, ref string, e *event) {
	e.Ref = ref
	send(c, e)
}

// close tells the rooms that somebody has left. Who was replaced is still there: the newer connection has taken over name and rooms.
func (h *chat) close(_ context.Context, c worker.Call, why worker.Reason) error {
	if why == worker.ReasonReplaced {
		return nil
	}
	for _, room := range rooms(c) {
		publish(c, room, &event{Type: "left", Room: room, Name: name(c)})
	}
	return nil
}

// do carries out one request; what it returns is for the client alone.
func (h *chat) do(ctx context.Context, c worker.Call, req *request) *event {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	switch req.Type {
	case "login":
		return h.login(ctx, c, req)
	case "join":
		return h.join(ctx, c, req.Room)
	case "leave":
		return h.leave(c, cmp.Or(req.Room, currentRoom(c)))
	case "say":
		return h.say(ctx, c, req)
	case "private":
		return h.private(ctx, c, req)
	case "typing":
		return h.typing(c, req.Room)
	case "rooms":
		return h.rooms(ctx, c)
	case "users":
		return h.users(ctx, c, cmp.Or(req.Room, currentRoom(c)))
	case "ping":
		return &event{Type: "pong"}
	case "quit":
		c.Close()
		return nil
	}
	return problem("bad_request", fmt.Sprintf("there is no request %q", shorten(req.Type)))
}

func problem(code, text string) *event { return &event{Type: "error", Code: code, Text: text} }

// encode makes a text message of an event.
func encode(e *event) worker.Message {
	if e.Time == 0 {
		e.Time = time.Now().UnixMilli()
	}
	b, err := marshal(e)
	if err != nil { // every field of an event can be encoded
		panic(err)
	}
	return worker.TextBytes(b)
}

func send(c worker.Call, e *event) { c.Send(encode(e)) }

func publish(c worker.Call, room string, e *event) { c.Publish(worker.Group(group(room)), encode(e)) }

func name(c worker.Call) string {
	name, _ := c.Attr("name")
	return name
}
