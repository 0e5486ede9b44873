package keep

import (
	"bytes"
	"context"
	"encoding/base64"
	"strings"
	"time"

	"github.com/seed-7410fe32/sluice/internal/kv"
	"github.com/seed-7410fe32/sluice/internal/stats"
)

const (
	// maxFailures is the most failures of a page.
	maxFailures = 1000
	// searchTime is how long a page is looked for.
	searchTime = 2 * time.Second
)

// FailureQuery selects entries of the failure log.
type FailureQuery struct {
	Query
	Code   *uint32 // nil: all
	Addr   string  // with its port or without; empty: all
	Text   string  // part of the text, in upper or lower case; empty: all
	Limit  int     // 0: 100; at most 1,000
	Cursor string  // Next of the page before
}

// Failure is an entry of the failure log.
type Failure struct {
	stats.Failure
	Node string // the process that reported it
}

// FailurePage is a part of the failure log, the newest entry first.
type FailurePage struct {
	Failures []Failure
	Next     string // cursor of the next page; empty: there is none
}

// Failures returns a page of the failure log. It may have fewer entries than the limit, or none,
// and a next page: it is looked for during two seconds.
func (k *Keeper) Failures(ctx context.Context, q FailureQuery) (page FailurePage, err error) {
	before := failureKey(q.To.UnixMilli()+1, 0)
	if q.Cursor != "" {
		before, err = base64.RawURLEncoding.DecodeString(q.Cursor)
		if _, _, ok := failureTime(before); err != nil || !ok {
			return page, ErrCursor
		}
	}
	limit := min(q.Limit, maxFailures)
	if limit <= 0 {
		limit = 100
	}
	match, from, end := q.matcher(), q.From.UnixMilli(), time.Now().Add(searchTime)
	err = k.store.View(func(t kv.Tx) (err error) {
		n := 0
		t.Descend(before, func(key, value []byte) bool {
			ms, _, ok := failureTime(key)
			if !ok || ms < from {
				return false
			}
			var f failureView
			if f, err = readFailure(value); err != nil {
				return false
			}
			if match(&f) {
				page.Failures = append(page.Failures, f.copied(ms))
			}
			if n++; n%lookEvery == 0 {
				err = ctx.Err()
			}
			if len(page.Failures) == limit || n%lookEvery == 0 && time.Now().After(end) {
				page.Next = base64.RawURLEncoding.EncodeToString(key)
				return false
			}
			return err == nil
		})
		return err
	})
	return page, err
}

// matcher returns a function that reports whether a failure is one of those that q selects.
func (q *FailureQuery) matcher() func(f *failureView) bool {
	text := bytes.ToLower([]byte(q.Text))
	return func(f *failureView) bool {
		return (q.Code == nil || f.code == *q.Code) &&
			(q.Module == "" || string(f.module) == q.Module) &&
			(q.Interface == "" || string(f.iface) == q.Interface) &&
			(q.Addr == "" || isAddr(string(f.addr), q.Addr)) &&
			(len(text) == 0 || bytes.Contains(bytes.ToLower(f.text), text))
	}
}

// isAddr reports whether an address is the wanted one, which may lack the port.
func isAddr(addr, want string) bool {
	host, port := strings.CutPrefix(addr, want+":")
	inside, v6 := strings.CutPrefix(addr, "["+want+"]:")
	return addr == want || port && !strings.Contains(host, ":") || v6 && inside != ""
}

// copied returns a failure that does not refer to the store.
func (f *failureView) copied(ms int64) Failure {
	return Failure{
		Failure: stats.Failure{
			Time: time.UnixMilli(ms).UTC(), Module: string(f.module), Interface: string(f.iface), Code: f.code,
			Addr: string(f.addr), Text: string(f.text),
		},
		Node: string(f.node),
	}
}
