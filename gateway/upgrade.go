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
	// Expires is when the client is closed with code 4015, unless OnRefresh has returned a later
	// time. Zero means never.
	Expires time.Time
}

// Refuse returns the error by which OnUpgrade refuses a WebSocket. The client gets the HTTP status,
// which must be between 400 and 599, and the text, which is cut after 1 KiB. Browsers show
// neither to the page. The refusal is counted (UpgradesRejected) and not logged.
func Refuse(status int, text string) error { return &refusal{status, text, ""} }

// RefuseFor is Refuse with a reason by which refusals are counted (UpgradesRejectedByReason). There
// should be few different ones: each loop counts at most 32, further ones as "other".
func RefuseFor(reason string, status int, text string) error { return &refusal{status, text, reason} }

type refusal struct {
	status int
	text   string
	reason string // empty: not counted by reason
}

func (r *refusal) Error() string { return fmt.Sprintf("gateway: refused (%d): %s", r.status, r.text) }

// maxUpgrades bounds the calls of OnUpgrade that a loop has running. Further upgrades wait.
const maxUpgrades = 256

// upgrade is a WebSocket whose call of OnUpgrade runs or waits, or one of OnRefresh. Owned by the
// loop.
type upgrade struct {
	session *session
	head    *codec.Request                          // nil for OnRefresh
	refresh *known                                  // nil for OnUpgrade
	call    func(context.Context) (Identity, error) // nil: a worker decides

	question question           // to a worker
	size     int                // size of the request
	cancel   context.CancelFunc // nil: the call has not begun
}

// upgrades are the upgrades of a loop.
type upgrades struct {
	of      map[*session]*upgrade // bound: calls of `OnUpgrade`
	running int                   // running calls, including those whose client has gone
	queue   []*upgrade            // oldest first, including upgrades whose client has gone; bound: calls of `OnUpgrade`
	stale   int                   // upgrades in queue whose client has gone
	reasons map[string]uint64     // refusals by reason; bound: none, maxReasons
}

// maxReasons bounds the reasons of refusals that a loop counts one by one.
const maxReasons = 32

// countRefusal counts a refusal by its reason.
func (q *upgrades) countRefusal(r *refusal) {
	if r.reason == "" {
		return
	}
	if q.reasons == nil {
		q.reasons = make(map[string]uint64)
	}
	reason := r.reason
	if _, ok := q.reasons[reason]; !ok && len(q.reasons) >= maxReasons {
		reason = "other"
	}
	q.reasons[reason]++
}

// askUpgrade calls OnUpgrade for the session at once, or when another call has returned. size is
// that of the request, in bytes.
func (s *session) askUpgrade(req *codec.Request, size int) {
	r, err := httpRequest(req, s.remote(), s.conn.TLS())
	if err != nil {
		s.refuseHTTP(req, codec.Status(http.StatusBadRequest, ""))
		return
	}
	s.phase = phaseUpgrading
	if s.lis.OnUpgrade == nil {
		s.loop.ask(&upgrade{session: s, head: req, size: size, question: question{sent: time.Now()}})
		return
	}
	s.loop.ask(&upgrade{
		session: s, head: req, size: size,
		call: func(ctx context.Context) (Identity, error) { return s.lis.OnUpgrade(ctx, r.WithContext(ctx)) },
	})
}

// ask makes the call of an upgrade at once, or when another call has returned.
func (l *loop) ask(u *upgrade) {
	if l.upgrades.of == nil {
		l.upgrades.of = make(map[*session]*upgrade)
	}
	l.upgrades.of[u.session] = u
	if l.upgrades.running < maxUpgrades {
		u.start()
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

// start makes the call of an upgrade on a goroutine of its own.
func (u *upgrade) start() {
	l := u.session.loop
	l.upgrades.running++
	if u.call == nil {
		l.questions.ask(u)
		return
	}
	ctx, cancel := context.WithTimeout(l.g.pageCtx, u.session.lis.HandshakeTimeout)
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
		if id, err = u.call(ctx); err == nil {
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
	uid     string
	attrs   []link.Attribute // in the order of their keys; bound: attributes of a client
	expires time.Time        // zero: never
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
	if !id.Expires.IsZero() && !time.Now().Before(id.Expires) {
		return identity{}, RefuseFor("expired", http.StatusUnauthorized, "expired")
	}
	return identity{id.UID, attrs, id.Expires}, nil
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
	if u.refresh != nil {
		u.refresh.refreshed(id, err)
	} else {
		u.answer(id, err)
	}
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
		l.upgrades.countRefusal(refused)
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
			u.start()
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
	if u.question.id != 0 { // no goroutine will return
		l.questions.take(u)
		q.running--
		l.nextUpgrade()
		return
	}
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
		if u.refresh != nil {
			continue // its client is closed by the drain
		}
		s.refuseHTTP(u.head, codec.Status(http.StatusServiceUnavailable, ""))
	}
}

// upgradeTimedOut refuses a session whose OnUpgrade did not return in time.
func (s *session) upgradeTimedOut() {
	s.loop.stats.UpgradeTimeouts++
	s.refuseHTTP(nil, codec.Status(http.StatusServiceUnavailable, "the request was not decided in time"))
}
