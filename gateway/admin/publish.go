package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/seed-7410fe32/sluice/gateway"
)

const (
	maxBatch           = 1000 // messages of a batch
	defaultPublishRate = 1000 // Config.PublishRate
	maxAuditTargets    = 10   // targets of a batch in its line of the log
)

// Publish is the body of POST /api/v1/publish. Exactly one of Client, UID, Group and All is set,
// and exactly one of Text, Data and JSON.
type Publish struct {
	Client string          `json:"client,omitempty"`
	UID    string          `json:"uid,omitempty"`
	Group  string          `json:"group,omitempty"`
	All    bool            `json:"all,omitempty"`
	Text   *string         `json:"text,omitempty"`
	Data   []byte          `json:"data,omitempty"` // in base64
	JSON   json.RawMessage `json:"json,omitempty"` // any value; it is sent as text without white space
	// Near leaves out the clients of other gateways.
	Near bool `json:"local,omitempty"`
}

// PublishBatch is the other body of POST /api/v1/publish: 1 to 1,000 messages, which are sent in
// order. One that cannot be sent does not hold up the next.
type PublishBatch struct {
	Messages []Publish `json:"messages"` // bound: none, maxBatch
}

// Published is the answer to a single message.
type Published struct {
	Delivered int `json:"delivered"` // connections of this gateway
}

// PublishedBatch is the answer to a batch.
type PublishedBatch struct {
	Delivered int         `json:"delivered"` // connections of this gateway, of all messages
	Failed    int         `json:"failed"`    // messages that have an error
	Results   []Delivered `json:"results"`   // in the order of the messages; bound: none, maxBatch
}

// Delivered is what became of one message of a batch.
type Delivered struct {
	Delivered int      `json:"delivered"`
	Error     *problem `json:"error,omitempty"`
}

// publishing answers POST /api/v1/publish.
type publishing struct {
	// Static after New.
	control *gateway.Control
	guard   *guard
	rate    int // Config.PublishRate
	audit   func(r *http.Request, what string, err error, details ...any)
	keys    *keys

	messages, failures, limited, replays atomic.Uint64
}

// publish answers POST /api/v1/publish. Messages are not in the log.
func (b *publishing) publish(w http.ResponseWriter, r *http.Request) (any, error) {
	body, err := readBody(w, r)
	if err != nil {
		return nil, err
	}
	messages, batch, err := readPublish(body)
	if err != nil {
		return nil, err
	}
	key, err := idempotencyKey(r.Header)
	if err != nil {
		return nil, err
	}
	from := callerOf(r)
	if key == "" {
		return b.send(w, r, from, messages, batch)
	}
	kept, again, err := b.keys.begin(from.usage, key, body)
	switch {
	case err != nil:
		return nil, err
	case again:
		b.replays.Add(1)
		w.Header().Set("Idempotent-Replayed", "true")
		return kept.answer, kept.err
	}
	defer b.keys.finish(kept) // also after a panic
	kept.answer, kept.err = b.send(w, r, from, messages, batch)
	return kept.answer, kept.err
}

// readPublish reads a message or a batch.
func readPublish(body []byte) (messages []Publish, batch bool, err error) {
	var request struct {
		Publish
		PublishBatch
	}
	if err := decode(body, &request); err != nil {
		return nil, false, err
	}
	if request.Messages == nil {
		return []Publish{request.Publish}, false, nil
	}
	if !reflect.ValueOf(request.Publish).IsZero() {
		return nil, false, refuse(http.StatusBadRequest, "a body with messages must have no other field")
	}
	if n := len(request.Messages); n == 0 || n > maxBatch {
		return nil, false, refuse(http.StatusBadRequest, "%d messages: must be between 1 and %d", n, maxBatch)
	}
	return request.Messages, true, nil
}

// send sends messages within the rate of the caller.
func (b *publishing) send(
	w http.ResponseWriter, r *http.Request, from caller, messages []Publish, batch bool,
) (any, error) {
	if wait := from.usage.take(len(messages)); wait > 0 {
		b.limited.Add(uint64(len(messages)))
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
		err := refuse(http.StatusTooManyRequests, "the token %s may publish %d messages a second",
			from.name, b.rate)
		b.audit(r, "publish", err, "messages", len(messages))
		return nil, err
	}
	if !batch {
		n, size, err := b.sendOne(r, from, &messages[0])
		b.audit(r, "publish", err, append(targetAttrs(targetOf(&messages[0])), "bytes", size, "delivered", n)...)
		return Published{Delivered: n}, err
	}
	all := PublishedBatch{Results: make([]Delivered, len(messages))}
	total := 0
	for i := range messages {
		n, size, err := b.sendOne(r, from, &messages[i])
		total += size
		all.Delivered += n
		all.Results[i].Delivered = n
		if err != nil {
			all.Failed++
			all.Results[i].Error = problemOf(err)
		}
	}
	b.audit(r, "publish", nil, "messages", len(messages), "bytes", total, "delivered", all.Delivered,
		"failed", all.Failed, "targets", targetsOf(messages))
	return all, nil
}

// sendOne sends one message. It returns how many connections of this gateway have accepted it, and
// its size in bytes.
func (b *publishing) sendOne(r *http.Request, from caller, p *Publish) (delivered, size int, err error) {
	a, err := p.announcement()
	target := targetOf(p)
	if err == nil && !from.grant.reaches(target) {
		b.guard.beyondScope.Add(1)
		err = refuse(http.StatusForbidden, "this needs a token that may publish to the target: the token %s has %s",
			from.name, from.grant)
	}
	if err == nil {
		delivered, err = b.control.Publish(r.Context(), target, a)
	}
	if err != nil {
		b.failures.Add(1)
	} else {
		b.messages.Add(1)
	}
	return delivered, len(a.Data), err
}

// announcement returns the message.
func (p *Publish) announcement() (a gateway.Announcement, err error) {
	a.Far = !p.Near
	set := 0
	if p.Text != nil {
		a.Data, a.Text = []byte(*p.Text), true
		set++
	}
	if p.Data != nil {
		a.Data = p.Data
		set++
	}
	if p.JSON != nil {
		var compact bytes.Buffer
		if err := json.Compact(&compact, p.JSON); err != nil {
			return a, refuse(http.StatusBadRequest, "json: %v", err)
		}
		a.Data, a.Text = compact.Bytes(), true
		set++
	}
	if set != 1 {
		return a, refuse(http.StatusBadRequest, "exactly one of text, data and json must be set")
	}
	return a, nil
}

func targetOf(p *Publish) gateway.Target {
	return gateway.Target{Client: p.Client, UID: p.UID, Group: p.Group, All: p.All}
}

// targetsOf describes the targets of a batch in the log, each once.
func targetsOf(messages []Publish) string {
	var targets []string // bound: none, maxAuditTargets
	for i := range messages {
		attrs := targetAttrs(targetOf(&messages[i]))
		target := fmt.Sprintf("%v=%v", attrs[0], attrs[1])
		if slices.Contains(targets, target) {
			continue
		}
		if len(targets) == maxAuditTargets {
			return strings.Join(targets, " ") + " and others"
		}
		targets = append(targets, target)
	}
	return strings.Join(targets, " ")
}

// usage is what one token has used. It stays when the token file is read again.
type usage struct{ published *rate.Limiter }

// newUsage returns a usage with a rate of messages in a second; negative means any number. A batch
// is always possible at once.
func newUsage(perSecond int) *usage {
	if perSecond < 0 {
		return &usage{rate.NewLimiter(rate.Inf, 0)}
	}
	return &usage{rate.NewLimiter(rate.Limit(perSecond), max(perSecond, maxBatch))}
}

// take takes n messages from the rate, or none and returns the time until there are so many.
func (u *usage) take(n int) (wait time.Duration) {
	now := time.Now()
	taken := u.published.ReserveN(now, n)
	if wait = taken.DelayFrom(now); wait > 0 {
		taken.CancelAt(now)
	}
	return wait
}
