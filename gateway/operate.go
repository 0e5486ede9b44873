package gateway

import (
	"cmp"
	"context"
	"fmt"
	"unicode/utf8"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// maxCloseText is the size of the longest text of a close frame, in bytes (RFC 6455 section 5.5).
const maxCloseText = 123

// Kick closes clients of this gateway after their output is written, and returns how many. A
// WebSocket gets the close code, 1000 or 3000 to 4999 (0: 1000), and the text, which is UTF-8 of at
// most 123 bytes (empty: "kicked"). Other clients get neither. Their workers are told, as when a
// worker closes them. Messages of theirs that were not handled yet are still delivered. Target.All
// is refused. The error is ErrNoClient if Target.Client is not connected to this gateway.
func (c *Control) Kick(ctx context.Context, t Target, code uint16, text string) (kicked int, err error) {
	id, err := t.check()
	switch {
	case err != nil:
		return 0, err
	case t.All:
		return 0, fmt.Errorf("%w: a kick of all clients is not supported", ErrTarget)
	case code != 0 && code != 1000 && (code < 3000 || code > 4999):
		return 0, fmt.Errorf("%w: close code %d: must be 1000 or between 3000 and 4999", ErrTarget, code)
	case len(text) > maxCloseText || !utf8.ValidString(text):
		return 0, fmt.Errorf("%w: a close text must be UTF-8 of at most %d bytes", ErrTarget, maxCloseText)
	}
	if code == 0 {
		code, _ = closeCodeAndText(link.ReasonKicked)
	}
	if text == "" {
		text = link.ReasonKicked.String()
	}
	kick := func(s *session) { s.endWithCode(link.ReasonKicked, code, text) }
	if t.Client == "" {
		return c.each(ctx, newFilter(ClientFilter{UID: t.UID, Group: t.Group}), kick)
	}
	l, err := c.holder(id)
	if err != nil {
		return 0, err
	}
	found, err := on(ctx, l, func(l *loop) bool {
		s := l.session(id.Slot(), id.Token())
		if s == nil || s.phase != phaseOpen {
			return false
		}
		kick(s)
		return true
	})
	if err == nil && !found {
		err = ErrNoClient
	}
	if err != nil {
		return 0, err
	}
	return 1, nil
}

// Announcement is a message that Control.Publish sends.
type Announcement struct {
	Data []byte // at most 16 MiB
	// Text says that Data is text. A WebSocket gets a text message then, otherwise a binary one.
	Text bool
	// Far also sends it to the clients of a group or a uid, or to all, at other gateways. Those are
	// the gateways that a worker of this one names. It has no effect with Target.Client.
	Far bool
}

// Publish sends a message to clients. It returns how many connections of this gateway have accepted
// it. Other gateways get it once, in order, and their connections are not counted. The error is
// ErrNoClient if Target.Client is not connected to this gateway. A client that no worker has
// admitted gets no message for all clients.
func (c *Control) Publish(ctx context.Context, t Target, a Announcement) (delivered int, err error) {
	id, err := t.check()
	if err != nil {
		return 0, err
	}
	if len(a.Data) > link.MaxMessage {
		return 0, fmt.Errorf("%w: message of %d bytes: must be at most %d", ErrTarget, len(a.Data), link.MaxMessage)
	}
	if !c.g.isReady() {
		return 0, ErrNotRunning
	}
	flags := uint8(0)
	if a.Text {
		flags = link.FlagText
	}
	if t.Client != "" {
		return c.send(ctx, id, a.Data, flags)
	}
	f := publishFrame(t, a.Data, flags)
	if a.Far {
		if _, err := on(ctx, c.g.loops[0], func(l *loop) struct{} {
			l.relayToAll(origin{loop: l.index}, f)
			return struct{}{}
		}); err != nil {
			return 0, err
		}
	}
	for _, l := range c.g.loops {
		n, err := on(ctx, l, func(l *loop) uint32 { return l.publish(f) })
		if err != nil {
			return delivered, err
		}
		delivered += int(n)
	}
	return delivered, nil
}

// publishFrame returns the PUBLISH frame for a checked target.
func publishFrame(t Target, data []byte, flags uint8) *link.Frame {
	var keys []string
	f := &link.Frame{Type: link.Publish, Flags: flags, Code: link.TargetAll}
	switch {
	case t.UID != "":
		f.Code, keys = link.TargetUIDs, []string{t.UID}
	case t.Group != "":
		f.Code, keys = link.TargetGroups, []string{t.Group}
	}
	f.Payload = append(link.AppendIDs[link.ClientID](link.AppendList(nil, keys), nil), data...)
	return f
}

// send sends a message to one client.
func (c *Control) send(ctx context.Context, id link.ClientID, data []byte, flags uint8) (delivered int, err error) {
	l, err := c.holder(id)
	if err != nil {
		return 0, err
	}
	n, err := on(ctx, l, func(l *loop) int {
		s := l.session(id.Slot(), id.Token())
		switch {
		case s == nil || s.phase != phaseOpen:
			return -1
		case s.deliver(data, flags, engine.SendOptions{}):
			return 1
		}
		return 0
	})
	if err == nil && n < 0 {
		return 0, ErrNoClient
	}
	return n, err
}

// defaultRebalance is the rate of Control.Rebalance without any other.
const defaultRebalance = 100

// Rebalance moves clients of this gateway to the workers that should have them, once, as
// Config.Rebalance does after a worker has connected: up to rate clients in a second. Rate 0 means
// that of the Config, or else 100. It returns how many loops have begun, while they go on. The
// others have fewer than two workers that take clients, or drain.
func (c *Control) Rebalance(ctx context.Context, rate int) (loops int, err error) {
	switch {
	case rate < 0:
		return 0, fmt.Errorf("%w: rate %d: must be at least 0", ErrTarget, rate)
	case !c.g.isReady():
		return 0, ErrNotRunning
	}
	rate = cmp.Or(rate, c.g.cfg.Rebalance, defaultRebalance)
	for _, l := range c.g.loops {
		begun, err := on(ctx, l, func(l *loop) bool { return l.rebalance.begin(l, rate) })
		if err != nil {
			return loops, err
		}
		if begun {
			loops++
		}
	}
	return loops, nil
}
