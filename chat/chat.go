// Package chat is a chat server: rooms, private messages, history and presence. It is the example
// to start from when you write a worker.
//
// The chat keeps no state of clients in memory. A client's name and rooms are in its attributes,
// uid and groups, which the gateways have. So a worker can be replaced without loss, and clients do
// not notice. Only the history, the rate limits and the reservations of names are in stores, which
// may forget. A store in memory ends with its worker: after a replacement the history begins anew.
// The time limit for the login is not passed on to the next worker either.
//
// Messages are JSON documents with a "type". They are the same over WebSocket, text lines and JSON
// sockets. A line that is not a JSON object is parsed as a command of a telnet user (request.go). A
// line that is not a command is a message to the room that the client has joined last. Commands
// that need a room use that room by default.
//
// A request may have a "ref", an identifier of 1 to 24 visible characters that the client chooses.
// The answer to the request repeats it: an error, or the message that the request has become, which
// others and the history get with it too. So a client knows which of its requests were accepted and
// which were not. A message without an answer may or may not have been accepted. The client may
// send it again with the same ref and "again":true. The worker remembers the refs of a user's last
// messages for ten minutes, and answers a message that it has published already with "sent". Only
// two kinds of requests are refused without a ref: those larger than 32 KB that come too fast, and
// those that are not valid requests.
package chat

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/seed-7410fe32/sluice/worker"
	"github.com/seed-7410fe32/sluice/worker/store"
)

// Config configures a chat. Only History is required.
type Config struct {
	History store.Store // of the rooms: see NewHistory
	// Key is the secret that signs the tokens of users. Workers with the same key accept each other's
	// tokens. Without a key it is a random one: tokens end with the worker.
	Key []byte
	// AddressRate is how many requests in a second all clients of an address may make together. After
	// a quiet time an address may make those of ten seconds at once. Negative means any number.
	// Defaults to 20.
	AddressRate int
}

// chat is the business code. Its methods connect, message and close are the functions of the
// worker.Handler.
type chat struct {
	history    history
	limits     *limits
	identities *identities
	sent       sent
}

// New returns the handler of a chat.
func New(cfg Config) (worker.Handler, error) {
	limits, err := newLimits(cmp.Or(cfg.AddressRate, addressRate))
	if err != nil {
		return worker.Handler{}, fmt.Errorf("chat: %w", err)
	}
	identities, err := newIdentities(cfg.Key)
	if err != nil {
		return worker.Handler{}, fmt.Errorf("chat: %w", err)
	}
	sent, err := newSent()
	if err != nil {
		return worker.Handler{}, fmt.Errorf("chat: %w", err)
	}
	h := &chat{history{cfg.History}, limits, identities, sent}
	return worker.Handler{Connect: h.connect, Message: h.message, Close: h.close}, nil
}

const (
	loginWithin = 30 * time.Second
	askWithin   = 3 * time.Second // for queries to the gateways
)

// request is a message from a client.
type request struct {
	Type  string `json:"type"`
	Name  string `json:"name"`
	Token string `json:"token"`
	Room  string `json:"room"`
	To    string `json:"to"`
	Text  string `json:"text"`
	ToUID string `json:"toUid"` // optional, with To: the message is for this user only
	Ref   string `json:"ref"`   // optional identifier of the request, which the answer repeats
	Again bool   `json:"again"` // the message may have been published already, with the same ref

	typed bool   // a line of text and not JSON
	key   string // of the worker's message
}

// event is a message to a client.
type event struct {
	Type     string      `json:"type"`
	Name     string      `json:"name,omitempty"`
	Key      string      `json:"key,omitempty"` // of Name: the same for every spelling
	Token    string      `json:"token,omitempty"`
	Room     string      `json:"room,omitempty"`
	From     string      `json:"from,omitempty"`
	UID      string      `json:"uid,omitempty"` // identifies the user of From or Name
	To       string      `json:"to,omitempty"`
	ToUID    string      `json:"toUid,omitempty"` // identifies the user of To
	Text     string      `json:"text,omitempty"`
	Code     string      `json:"code,omitempty"`
	ID       string      `json:"id,omitempty"`
	Ref      string      `json:"ref,omitempty"` // of the request that the event answers
	Rooms    []roomCount `json:"rooms,omitempty"`
	Users    []string    `json:"users,omitempty"`
	UIDs     []string    `json:"uids,omitempty"` // of Users, in their order
	Messages []document  `json:"messages,omitempty"`
	Partial  bool        `json:"partial,omitempty"` // a gateway did not answer, or the list is too long
	Time     int64       `json:"time"`              // Unix milliseconds
}

type roomCount struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

// connect closes the client unless it logs in within loginWithin.
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

// message parses a request and carries it out. An invalid request is answered with an error event.
// It is not an error of the handler.
func (h *chat) message(ctx context.Context, c worker.Call, m worker.Message) error {
	if !h.limits.allowed(ctx, c) {
		answer(c, refOf(m.Data), slowDown("too many requests"))
		return nil
	}
	req, err := parse(m.Data)
	if err != nil {
		send(c, problem("bad_request", err.Error()))
		return nil
	}
	if req.Ref != "" {
		req.key = m.Key(c)
	}
	if name(c) == "" && !slices.Contains([]string{"login", "ping", "quit", "help"}, req.Type) {
		answer(c, req.Ref, problem("login_first", `log in first: /login NAME, or {"type":"login","name":"NAME"}`))
		return nil
	}
	if e := h.do(ctx, c, &req); e != nil {
		answer(c, req.Ref, e)
	}
	return nil
}

// answer sends the client the result of its request with the ref.
func answer(c worker.Call, ref string, e *event) {
	e.Ref = ref
	send(c, e)
}

// close tells the rooms of a client that it has left, and reserves its name. A client that was
// replaced has not left: its newer connection has taken over its name and rooms.
func (h *chat) close(ctx context.Context, c worker.Call, why worker.Reason) error {
	if why == worker.ReasonReplaced {
		return nil
	}
	for _, room := range rooms(c) {
		publish(c, room, &event{Type: "left", Room: room, Name: name(c), UID: c.UID()})
	}
	if why == worker.ReasonKicked { // the client has asked for it, or has lost the name
		h.identities.release(ctx, c)
	} else {
		h.identities.reserve(ctx, c)
	}
	return nil
}

// do carries out a request. The event that it returns is sent to the client only.
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
	case "say", "private":
		if e := h.sent.again(ctx, c, req); e != nil {
			return e
		}
		if req.Type == "say" {
			return h.say(ctx, c, req)
		}
		return h.private(ctx, c, req)
	case "typing":
		return h.typing(c, named(req.Room))
	case "rooms":
		return h.rooms(ctx, c)
	case "users":
		return h.users(ctx, c, cmp.Or(named(req.Room), currentRoom(c)))
	case "help":
		return &event{Type: "help", Text: help}
	case "ping":
		return h.pong(ctx, c)
	case "quit":
		h.identities.release(ctx, c)
		c.Close()
		return nil
	}
	return problem("bad_request", fmt.Sprintf("unknown request type %q", shorten(req.Type)))
}

// pong answers a ping. It has a new token, because a token says when its client had the name.
func (h *chat) pong(ctx context.Context, c worker.Call) *event {
	e := &event{Type: "pong"}
	if name(c) != "" {
		h.identities.reserve(ctx, c)
		e.Token = h.identities.token(c.UID(), name(c))
	}
	return e
}

func slowDown(why string) *event {
	return problem("slow_down", why+": this one was not accepted, send it again later")
}

func problem(code, text string) *event { return &event{Type: "error", Code: code, Text: text} }

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

func send(c worker.Call, e *event) { c.Send(encode(e)) }

func publish(c worker.Call, room string, e *event) { c.Publish(worker.Group(group(room)), encode(e)) }

func name(c worker.Call) string {
	name, _ := c.Attr("name")
	return name
}
