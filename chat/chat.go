// Package chat is a chat server: rooms, private messages, history and presence. It is the example
// to start from when you write a worker.
//
// The chat keeps no state of clients in memory. A client's name and rooms are in its attributes,
// uid and groups, which the gateways have. What must not be forgotten, such as the messages and who
// owns a name, is in a store (package store) in the process of a gateway, which all workers call.
// So a worker can be replaced without loss, and clients do not notice. Only the time limit for the
// login begins anew with the next worker (adopt).
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
// send it again with the same ref and "again":true. A message that was accepted already is not
// published again, and the answer is "sent". Only two kinds of requests are refused without a ref:
// those larger than 32 KB that come too fast, and those that are not valid requests.
//
// A user may have several connections, such as two tabs of a browser. All of them receive
// everything. To others they are one person.
package chat

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed-7410fe32/sluice/chat/store"
	"github.com/seed-7410fe32/sluice/worker"
)

// Config configures a chat.
type Config struct {
	// AddressRate is how many requests in a second all clients of an address may make together. After
	// a quiet time an address may make those of ten seconds at once. Negative means any number.
	// Defaults to 20.
	AddressRate int
}

// chat is the business code. Its methods connect, message and close are the functions of the
// worker.Handler.
type chat struct {
	limits *limits
}

// New returns the handler of a chat. It needs a gateway whose OnInvoke is the Serve of a
// store.Store.
func New(cfg Config) (worker.Handler, error) {
	limits, err := newLimits(cmp.Or(cfg.AddressRate, addressRate))
	if err != nil {
		return worker.Handler{}, fmt.Errorf("chat: %w", err)
	}
	h := &chat{limits}
	return worker.Handler{Connect: h.connect, Adopt: h.adopt, Message: h.message, Close: h.close}, nil
}

const (
	loginWithin = 30 * time.Second
	askWithin   = 10 * time.Second // for the store, which begins nothing after 5 s, and for queries
	standIn     = 2 * time.Second  // until a call without a link to the store fails
)

// stored returns the store that all workers share. A call without a link to it is made again for a
// while, because another gateway may stand in. A store may be asked anything twice: an event may be
// delivered again, too.
func stored(c worker.Call) store.Client {
	return store.Client{Invoke: func(ctx context.Context, payload []byte) (answer []byte, err error) {
		until := time.Now().Add(standIn)
		for {
			answer, err = c.Worker().Invoke(ctx, payload)
			if !errors.Is(err, worker.ErrLinkDown) || time.Now().After(until) {
				return answer, err
			}
			select {
			case <-ctx.Done():
				return nil, err
			case <-time.After(standIn / 20):
			}
		}
	}}
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

// adopt begins anew what only the memory of the former worker had of a client: the time limit of
// its login.
func (h *chat) adopt(ctx context.Context, c worker.Call, _ worker.Takeover) error {
	if c.UID() == "" {
		return h.connect(ctx, c)
	}
	return nil
}

// message parses a request and carries it out. An invalid request is answered with an error event.
// It is not an error of the handler.
func (h *chat) message(ctx context.Context, c worker.Call, m worker.Message) error {
	if !h.limits.allowed(ctx, c) {
		refused := peek(m.Data)
		e := slowDown("too many requests")
		if refused.Type == "leave" {
			e.Room = refused.Room // the client leaves it later
		}
		answer(c, refused.Ref, e)
		return nil
	}
	req, err := parse(m.Data)
	if err != nil {
		send(c, problem("bad_request", err.Error()))
		return nil
	}
	req.key = m.Key(c)
	if name(c) == "" && !slices.Contains([]string{"login", "ping", "quit", "help"}, req.Type) {
		answer(c, req.Ref, problem("login_first", `log in first: /login NAME, or {"type":"login","name":"NAME"}`))
		return nil
	}
	if e := h.do(ctx, c, &req); e != nil {
		answer(c, req.Ref, e)
	}
	return nil
}

// do carries out a request. The event that it returns is sent to the client only.
func (h *chat) do(ctx context.Context, c worker.Call, req *request) *event {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	c.Interface(req.Type) // in the statistics
	switch req.Type {
	case "login":
		return h.login(ctx, c, req)
	case "join":
		return h.join(ctx, c, req.Room)
	case "leave":
		return h.leave(ctx, c, cmp.Or(req.Room, currentRoom(c)))
	case "say":
		return h.say(ctx, c, req)
	case "private":
		return h.private(ctx, c, req)
	case "history":
		return h.history(ctx, c, req)
	case "edit", "delete", "react":
		return h.change(ctx, c, req)
	case "read", "mute":
		return h.mark(ctx, c, req)
	case "block":
		return h.block(ctx, c, req)
	case "password":
		return h.password(ctx, c, req)
	case "typing":
		return h.typing(c, named(req.Room))
	case "presence":
		return presence(ctx, c, req.ToUID)
	case "rooms":
		return h.rooms(ctx, c)
	case "users":
		return h.users(ctx, c, cmp.Or(named(req.Room), currentRoom(c)))
	case "help":
		return &event{Type: "help", Text: help}
	case "ping":
		return &event{Type: "pong"}
	case "quit":
		c.Close()
		return nil
	}
	c.Interface("unknown") // there may be any number of names
	return problem("bad_request", fmt.Sprintf("unknown request type %q", shorten(req.Type)))
}

// close tells the rooms of a client that it has left, and the store that the user has gone, unless
// the user has other connections.
func (h *chat) close(ctx context.Context, c worker.Call, why worker.Reason) error {
	if c.UID() == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	mine := others(ctx, c)
	for _, room := range rooms(c) {
		mine.leave(ctx, c, room)
	}
	if len(mine) > 0 {
		return nil
	}
	// If the store does not answer, it notices at the next login that the user has gone.
	_ = stored(c).Gone(ctx, &store.Gone{UID: c.UID(), Quit: why == worker.ReasonKicked})
	return nil
}

func name(c worker.Call) string {
	name, _ := c.Attr("name")
	return name
}
