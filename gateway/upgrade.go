package gateway

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"time"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/engine"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// Identity is what OnUpgrade knows of a client. The zero value is a client of which nothing is
// known.
type Identity struct {
	// UID is bound to the client before its worker is called, at most 1,024 bytes. Empty means
	// none. A Router sees it too.
	UID string
	// Attrs are the client's first attributes. No key may be empty.
	Attrs map[string]string
}

// Refuse returns the error by which OnUpgrade refuses a WebSocket. The client gets the HTTP status,
// which must be between 400 and 599, and the text, which is cut after 1 KiB. Browsers show
// neither to the page. The refusal is counted (UpgradesRejected) and not logged.
func Refuse(status int, text string) error { return &refusal{status, text} }

type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return fmt.Sprintf("gateway: refused (%d): %s", r.status, r.text) }

// maxUpgrades bounds the calls of OnUpgrade that a loop has running. Further upgrades wait.
const maxUpgrades = 256

// upgrade is a WebSocket whose call of OnUpgrade runs or waits. Owned by the loop.
type upgrade struct {
	session *session
	head    *codec.Request
	request *http.Request
	size    int                // size of the request
	cancel  context.CancelFunc // nil: the call has not begun
}

// upgrades are the upgrades of a loop.
type upgrades struct {
	of      map[*session]*upgrade // bound: calls of `OnUpgrade`
	running int                   // running calls, including those whose client has gone
	queue   []*upgrade            // oldest first, including upgrades whose client has gone; bound: calls of `OnUpgrade`
	stale   int                   // upgrades in queue whose client has gone
}

// askUpgrade calls OnUpgrade for the session at once, or when another call has returned. size is
// that of the request, in bytes.
func (s *session) askUpgrade(req *codec.Request, size int) {
	r, err := httpRequest(req, s.remote(), s.conn.TLS())
	if err != nil {
		s.refuseHTTP(req, codec.Status(http.StatusBadRequest, ""))
		return
	}
	u, l := &upgrade{session: s, head: req, request: r, size: size}, s.loop
	s.phase = phaseUpgrading
	if l.upgrades.of == nil {
		l.upgrades.of = make(map[*session]*upgrade)
	}
	l.upgrades.of[s] = u
	if l.upgrades.running < maxUpgrades {
		l.callOnUpgrade(u)
		return
	}
	l.stats.UpgradesQueued++
	l.upgrades.queue = append(l.upgrades.queue, u)
}

// upgradeBytes is how many bytes of an upgrade are held.
func (s *session) upgradeBytes() int {
	if u := s.loop.upgrades.of[s]; u != nil {
		return u.size
	}
	return 0
}

// callOnUpgrade calls OnUpgrade on a goroutine of its own.
func (l *loop) callOnUpgrade(u *upgrade) {
	l.upgrades.running++
	lis := u.session.lis
	ctx, cancel := context.WithTimeout(l.g.pageCtx, lis.HandshakeTimeout)
	u.cancel = cancel
	l.g.pagesWG.Go(func() {
		defer cancel()
		own, err := identity{}, errUpgradeEnded
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
			if ctx.Err() != nil {
				err = errUpgradeLate // whatever it returned
			}
			l.post(func() { l.upgraded(u, &own, err) })
		}()
		var id Identity
		if id, err = lis.OnUpgrade(ctx, u.request.WithContext(ctx)); err == nil {
			own, err = id.check()
		}
	})
}

var (
	errUpgradeEnded = errors.New("OnUpgrade has not returned") // it ended its goroutine (runtime.Goexit)
	errUpgradeLate  = errors.New("OnUpgrade took too long")
)

// post runs f, which follows a call of the embedder's code, on the loop. It waits while the mailbox
// is full, because the call would otherwise count as running for ever.
func (l *loop) post(f func()) {
	for errors.Is(l.el.Post(f), engine.ErrMailboxFull) {
		time.Sleep(time.Millisecond)
	}
}

// identity is a checked copy of an Identity, which belongs to the loop.
type identity struct {
	uid   string
	attrs []link.Attribute // in the order of their keys; bound: attributes of a client
}

// check returns a copy of the Identity. It refuses one that a client cannot have.
func (id *Identity) check() (identity, error) {
	if len(id.UID) > link.MaxKey {
		return identity{}, fmt.Errorf("Identity.UID: %d bytes: must be at most %d", len(id.UID), link.MaxKey)
	}
	attrs := make([]link.Attribute, 0, len(id.Attrs))
	for _, key := range slices.Sorted(maps.Keys(id.Attrs)) {
		if key == "" || len(key) > 0xFFFF {
			return identity{}, fmt.Errorf("Identity.Attrs: key of %d bytes: must be between 1 and 65535", len(key))
		}
		attrs = append(attrs, link.Attribute{Key: key, Value: id.Attrs[key]})
	}
	if n := link.AttributesSize(attrs); n > link.MaxAttributes {
		return identity{}, fmt.Errorf("Identity.Attrs: %d bytes: must be at most %d", n, link.MaxAttributes)
	}
	return identity{id.UID, attrs}, nil
}

// upgraded continues a session whose OnUpgrade has returned, and calls OnUpgrade for the next one.
func (l *loop) upgraded(u *upgrade, id *identity, err error) {
	l.upgrades.running--
	l.nextUpgrade()
	s := u.session
	if l.upgrades.of[s] != u {
		return // the client has gone
	}
	delete(l.upgrades.of, s)
	panicked := true
	defer func() {
		if panicked { // in the Router: the connection ends, as after a panic in one of its callbacks
			s.conn.Close(engine.ErrPanic)
		}
	}()
	u.answer(id, err)
	panicked = false
}

// answer opens or refuses the WebSocket, according to what OnUpgrade has returned.
func (u *upgrade) answer(id *identity, err error) {
	s, head := u.session, u.head
	l := s.loop
	s.startDeadline(0, 0)
	s.phase = phaseHandshake
	switch refused, ok := errors.AsType[*refusal](err); {
	case l.overloaded():
		s.refuseHTTP(head, codec.Status(http.StatusServiceUnavailable, ""))
	case errors.Is(err, errUpgradeLate):
		s.upgradeTimedOut()
	case err == nil:
		s.finishUpgrade(head, id)
	case ok && refused.status >= 400 && refused.status <= 599:
		l.stats.UpgradesRejected++
		s.refuseHTTP(head, codec.Status(refused.status, refused.text))
	default:
		l.stats.UpgradeErrors++
		if l.g.clientLogs.Allow() {
			l.g.log.Error("OnUpgrade failed", "err", err, "path", brief(head.Path()), "remote", s.remote())
		}
		s.refuseHTTP(head, codec.Status(http.StatusInternalServerError, ""))
	}
	if s.phase == phaseOpen {
		s.conn.Pause() // so that the input after the request is passed to OnData again
		s.conn.Resume()
	}
}

// nextUpgrade calls OnUpgrade for waiting upgrades, up to maxUpgrades.
func (l *loop) nextUpgrade() {
	q := &l.upgrades
	for q.running < maxUpgrades && len(q.queue) > 0 {
		u := q.queue[0]
		q.queue[0] = nil
		if q.queue = q.queue[1:]; q.of[u.session] == u {
			l.callOnUpgrade(u)
		} else {
			q.stale--
		}
	}
}

// dropUpgrade ends the upgrade of a session that ends, and cancels the context of its call.
func (l *loop) dropUpgrade(s *session) {
	q := &l.upgrades
	u := q.of[s]
	if u == nil {
		return
	}
	delete(q.of, s)
	if u.cancel != nil {
		u.cancel()
		return
	}
	if q.stale++; q.stale > len(q.queue)/2 {
		q.queue = slices.DeleteFunc(q.queue, func(u *upgrade) bool { return q.of[u.session] != u })
		q.stale = 0
	}
}

// refuseUpgrades answers all upgrades with status 503, because the gateway drains.
func (l *loop) refuseUpgrades() {
	for s, u := range l.upgrades.of {
		s.refuseHTTP(u.head, codec.Status(http.StatusServiceUnavailable, ""))
	}
}

// upgradeTimedOut refuses a session whose OnUpgrade did not return in time.
func (s *session) upgradeTimedOut() {
	s.loop.stats.UpgradeTimeouts++
	s.refuseHTTP(nil, codec.Status(http.StatusServiceUnavailable, "the request was not decided in time"))
}
