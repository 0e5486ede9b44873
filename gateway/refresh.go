package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// known is what OnUpgrade has said of a client whose identity may expire or be refreshed. Owned by
// the loop.
type known struct {
	timer   engine.Timer
	session *session
	uid     string // a new token must have the same
}

// knownClients are those of a loop.
type knownClients map[*session]*known // bound: lists of clients

// keep notes the identity with which a client opens.
func (all knownClients) keep(s *session, id *identity) {
	if id == nil || id.expires.IsZero() && s.lis.OnRefresh == nil {
		return
	}
	k := &known{session: s, uid: id.uid}
	k.timer.Target = k
	all[s] = k
	k.expireAt(id.expires)
}

// drop forgets a client that ends.
func (all knownClients) drop(s *session) {
	if k := all[s]; k != nil {
		s.loop.el.Cancel(&k.timer)
		delete(all, s)
	}
}

// expireAt closes the client at a time, never if that is zero.
func (k *known) expireAt(t time.Time) {
	el := k.session.loop.el
	if t.IsZero() {
		el.Cancel(&k.timer)
		return
	}
	el.Schedule(&k.timer, max(time.Until(t), 0))
}

// OnTimer implements engine.TimerHandler: the identity has expired.
func (k *known) OnTimer(*engine.Timer) {
	k.session.loop.stats.Expired++
	k.session.end(link.ReasonExpired)
}

const (
	refreshType = "sluice.refresh" // type of a client's message with a new token
	maxRefresh  = 16 << 10         // size of such a message, in bytes; a larger one is for the worker
)

// refreshToken returns the token in a message of the form {"type":"sluice.refresh","token":"..."}.
// Other messages are for the worker.
func refreshToken(message []byte) (token string, ok bool) {
	if len(message) > maxRefresh || !bytes.Contains(message, []byte(`"`+refreshType+`"`)) {
		return "", false
	}
	var m struct{ Type, Token string }
	if json.Unmarshal(message, &m) != nil || m.Type != refreshType {
		return "", false
	}
	return m.Token, true
}

// refresh passes the token in a client's message to OnRefresh, which the listener has. It reports
// whether the message has one.
func (all knownClients) refresh(s *session, message []byte) bool {
	token, ok := refreshToken(message)
	if !ok {
		return false
	}
	k := all[s]
	switch {
	case k == nil: // it was opened without an identity
		s.loop.known.reject(s, "the client has no token")
	case s.loop.upgrades.of[s] != nil:
		s.loop.known.reject(s, "the token before is being checked")
	default:
		s.loop.ask(&upgrade{
			session: s, refresh: k, size: len(token),
			call: func(ctx context.Context) (Identity, error) { return s.lis.OnRefresh(ctx, token) },
		})
	}
	return true
}

// reject notifies a client that its new token is not accepted. The client stays until its present
// one expires.
func (knownClients) reject(s *session, why string) {
	s.loop.stats.RefreshesRejected++
	detail, _ := json.Marshal(why) // a string cannot fail
	s.sendText(fmt.Appendf(nil, `{"type":"sluice.refresh_rejected","detail":%s}`, detail))
}

// refreshed applies what OnRefresh has returned.
func (k *known) refreshed(id *identity, err error) {
	s := k.session
	l := s.loop
	refused, isRefusal := errors.AsType[*refusal](err)
	switch {
	case errors.Is(err, errUpgradeLate):
		l.stats.UpgradeTimeouts++
		s.loop.known.reject(s, "the token was not checked in time")
		return
	case isRefusal:
		l.upgrades.countRefusal(refused)
		s.loop.known.reject(s, refused.text)
		return
	case err != nil:
		l.stats.UpgradeErrors++
		if l.g.clientLogs.Allow() {
			l.g.log.Error("OnRefresh failed", "err", err, "remote", s.remote())
		}
		s.loop.known.reject(s, "internal error")
		return
	case id.uid != k.uid:
		s.loop.known.reject(s, "the token is of another user")
		return
	}
	if len(id.attrs) > 0 {
		if !l.members.Set(&s.member, id.attrs, true) {
			l.stats.AttrsRejected++
			s.loop.known.reject(s, "too many attributes")
			return
		}
		if k := s.link(); k != nil {
			k.refresh(s)
		}
	}
	l.stats.Refreshed++
	k.expireAt(id.expires)
	if id.expires.IsZero() {
		s.sendText([]byte(`{"type":"sluice.refreshed"}`))
	} else {
		s.sendText(fmt.Appendf(nil, `{"type":"sluice.refreshed","expires":%d}`, id.expires.Unix()))
	}
}
