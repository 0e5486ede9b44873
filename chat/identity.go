package chat

import (
	"cmp"
	"context"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/seed-7410fe32/sluice/worker"
)

// A user is identified by a uid, which a login without a token makes. Everybody sees the uid. The
// token proves that a client has it: it is signed, so every worker with the same key can check it,
// and no worker has to remember it. A uid begins with the time at which it was made: of two uids,
// the smaller one is older.

// reservedFor is how long a name is kept for a client that has gone without /quit.
const reservedFor = 5 * time.Minute

// newUID returns the uid of a new user.
func newUID() string {
	return fmt.Sprintf("%011x", time.Now().UnixMilli()) + strings.ToLower(rand.Text()[:13])
}

// identity is what a token proves.
type identity struct {
	uid   string
	fresh bool // the client had the name less than reservedFor ago
}

// mayTake reports whether the identity goes before another one that has the name. It does if it had
// the name before, and so recently that the other one should not have got it. A worker that did not
// know of the reservation may have given the name away.
func (i identity) mayTake(uid string) bool { return i.uid == uid || i.fresh && i.uid < uid }

// token returns the token of a client that has the name now.
func (h *chat) token(uid, name string) string {
	text := uid + "." + strconv.FormatInt(time.Now().UnixMilli(), 36)
	return text + "." + h.sign(text, name)
}

// identify returns what a token proves about a name. The zero identity is that of a new user.
func (h *chat) identify(token, name string) identity {
	at := strings.LastIndexByte(token, '.')
	if at < 0 || !hmac.Equal([]byte(token[at+1:]), []byte(h.sign(token[:at], name))) {
		return identity{}
	}
	uid, made, _ := strings.Cut(token[:at], ".")
	ms, _ := strconv.ParseInt(made, 36, 64) // signed, so it is valid
	return identity{uid, time.Since(time.UnixMilli(ms)) < reservedFor}
}

func (h *chat) sign(text, name string) string {
	mac := hmac.New(sha256.New, h.key)
	mac.Write([]byte(text + "." + key(name)))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// tokenKey derives the key of tokens from a secret, or from a random one.
func tokenKey(secret []byte) ([]byte, error) {
	if len(secret) == 0 {
		secret = []byte(rand.Text())
	}
	return hkdf.Key(sha256.New, secret, nil, "sluice chat token", 32)
}

// reserve keeps the name of a client that has gone for its token. A name that is reserved for an
// older uid stays so. The reservation is in this worker's memory: another worker does not know it.
func (h *chat) reserve(ctx context.Context, c worker.Call) {
	if returns, _ := c.Attr("returns"); returns == "" {
		return
	}
	for _, g := range groupsOfName(name(c)) {
		_ = h.names.Update(ctx, g, func(old []byte) ([]byte, error) {
			if len(old) > 0 && string(old) < c.UID() {
				return old, nil
			}
			return []byte(c.UID()), nil
		})
	}
}

// reservation returns the uid that a name, or one that looks like it, is reserved for, or "".
func (h *chat) reservation(ctx context.Context, name string) string {
	var uid string
	for _, g := range groupsOfName(name) {
		value, _, _ := h.names.Get(ctx, g) // a store may forget
		uid = cmp.Or(uid, string(value))
	}
	return uid
}
