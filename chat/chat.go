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

	"sluice/worker"
	"sluice/worker/store"
)

// Chat is the worker.Handler of the chat.
type Chat struct {
	history store.History
	rates   store.Store
	start   time.Time // what the rates are counted from, out of reach of clock changes
}

// New returns a chat that remembers what was said in the history.
func New(history store.History) (*Chat, error) {
	rates, err := store.NewMemory(store.MemoryConfig{MaxBytes: 8 << 20, TTL: time.Minute})
	if err != nil {
		return nil, fmt.Errorf("chat: %w", err)
	}
	return &Chat{history: history, rates: rates, start: time.Now()}, nil
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

// OnConnect gives a newcomer half a minute to say who it is.
func (h *Chat) OnConnect(c *worker.Client) {
	_, _ = c.After(loginWithin, func(c *worker.Client) {
		if c.UID() == "" {
			_ = c.CloseWith(encode(problem("login_timeout", "log in within 30 seconds")))
		}
	})
}

// OnMessage reads a request and carries it out.
func (h *Chat) OnMessage(c *worker.Client, m worker.Message) {
	if !h.allowed(c) {
		answer(c, refOf(m.Data), problem("slow_down", "that was too fast and was not done: wait a moment and send it again"))
		return
	}
	req, err := parse(m.Data)
	if err != nil {
		send(c, problem("bad_request", err.Error()))
		return
	}
	if name, _ := c.Attr("name"); name == "" && req.Type != "login" && req.Type != "ping" && req.Type != "quit" {
		answer(c, req.Ref, problem("login_first", `log in first: /login NAME, or {"type":"login","name":"…"}`))
		return
	}
	if e := h.do(c, &req); e != nil {
		answer(c, req.Ref, e)
	}
}

// answer sends the client what its request with the ref has led to.
func answer(c *worker.Client, ref string, e *event) {
	e.Ref = ref
	send(c, e)
}

// OnClose tells the rooms that somebody has left. Who was replaced is still there: the newer connection has taken over name and rooms.
func (h *Chat) OnClose(c *worker.Client, why worker.Reason) {
	if why == worker.ReasonReplaced {
		return
	}
	for _, room := range rooms(c) {
		publish(c, room, &event{Type: "left", Room: room, Name: name(c)})
	}
}

// do carries out one request; what it returns is for the client alone.
func (h *Chat) do(c *worker.Client, req *request) *event {
	ctx, cancel := context.WithTimeout(context.Background(), askWithin)
	defer cancel()
	switch req.Type {
	case "login":
		return h.login(ctx, c, req)
	case "join":
		return h.join(ctx, c, req.Room)
	case "leave":
		return h.leave(c, cmp.Or(req.Room, here(c)))
	case "say":
		return h.say(ctx, c, req)
	case "private":
		return h.private(ctx, c, req)
	case "typing":
		return h.typing(c, req.Room)
	case "rooms":
		return h.rooms(ctx, c)
	case "users":
		return h.users(ctx, c, cmp.Or(req.Room, here(c)))
	case "ping":
		return &event{Type: "pong"}
	case "quit":
		_ = c.Close()
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

// send and publish have nobody to report a failure to: it means that the gateway, and with it the client, is gone.
func send(c *worker.Client, e *event) { _ = c.Send(encode(e)) }

func publish(c *worker.Client, room string, e *event, except ...worker.ClientID) {
	_ = c.Publish(group(room), encode(e), except...)
}

func name(c *worker.Client) string {
	name, _ := c.Attr("name")
	return name
}
