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
	"github.com/seed-7410fe32/sluice/worker/store"
)

// A user is identified by a uid, which a login without a token makes. Everybody sees the uid. The
// token proves that a client has it: it is signed, so every worker with the same key can check it,
// and no worker has to remember it. A uid begins with the time at which it was made: of two uids,
// the smaller one is older.

// identities issues uids and tokens, and reserves names.
type identities struct {
	key   []byte      // of tokens
	names store.Store // reservations: uids by group of a name, in this worker's memory
}

func newIdentities(secret []byte) (*identities, error) {
	if len(secret) == 0 {
		secret = []byte(rand.Text())
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "sluice chat token", 32)
	if err != nil {
		return nil, err
	}
	names, err := store.NewMemory(store.MemoryConfig{MaxBytes: 8 << 20, TTL: reservedFor})
	return &identities{key, names}, err
}

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
func (i *identities) token(uid, name string) string {
	text := uid + "." + strconv.FormatInt(time.Now().UnixMilli(), 36)
	return text + "." + i.sign(text, name)
}

// identify returns what a token proves about a name. The zero identity is that of a new user.
func (i *identities) identify(token, name string) identity {
	at := strings.LastIndexByte(token, '.')
	if at < 0 || !hmac.Equal([]byte(token[at+1:]), []byte(i.sign(token[:at], name))) {
		return identity{}
	}
	uid, made, _ := strings.Cut(token[:at], ".")
	ms, _ := strconv.ParseInt(made, 36, 64) // signed, so it is valid
	return identity{uid, time.Since(time.UnixMilli(ms)) < reservedFor}
}

func (i *identities) sign(text, name string) string {
	return base64.RawURLEncoding.EncodeToString(i.mac("token\x00" + text + "\x00" + key(name)))
}

func (i *identities) mac(text string) []byte {
	mac := hmac.New(sha256.New, i.key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// author returns what stands for the author of a message in a history: the address or, if it is not
// known, the uid, because a user gets a new uid easily. It does not reveal the address.
func (i *identities) author(c worker.Call) string {
	return fmt.Sprintf("%x", i.mac("author\x00" + cmp.Or(address(c), c.UID()))[:6])
}

// reserve keeps the name of a client for its token, from now on for reservedFor. A name that is
// reserved for an older uid stays so. Other workers do not know of it.
func (i *identities) reserve(ctx context.Context, c worker.Call) {
	if returns, _ := c.Attr("returns"); returns == "" {
		return
	}
	i.update(ctx, c, func(uid string) string {
		if uid == "" {
			return c.UID()
		}
		return min(uid, c.UID())
	})
}

// release ends the reservation of a client's name.
func (i *identities) release(ctx context.Context, c worker.Call) {
	i.update(ctx, c, func(uid string) string {
		if uid == c.UID() {
			return ""
		}
		return uid
	})
}

// update replaces the uid that the name of a client is reserved for. Empty means none.
func (i *identities) update(ctx context.Context, c worker.Call, f func(uid string) string) {
	for _, g := range groupsOfName(name(c)) {
		_ = i.names.Update(ctx, g, func(old []byte) ([]byte, error) { // a store may forget
			if uid := f(string(old)); uid != "" {
				return []byte(uid), nil
			}
			return nil, nil
		})
	}
}

// reservation returns the uid that a name, or one that looks like it, is reserved for, or "".
func (i *identities) reservation(ctx context.Context, name string) string {
	var uid string
	for _, g := range groupsOfName(name) {
		value, _, _ := i.names.Get(ctx, g) // a store may forget
		uid = cmp.Or(uid, string(value))
	}
	return uid
}
