package admin

import (
	"container/list"
	"crypto/sha256"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	keyTTL     = time.Hour // how long an idempotency key is remembered, if there is room
	maxKey     = 255       // bytes of a key
	maxKeySize = 16 << 20  // bytes of all keys with their answers
	keyCost    = 256       // bytes of a key besides its text and the results of a batch
	resultCost = 64        // bytes of a result of a batch
)

// keys are the idempotency keys of requests, with their answers
// (draft-ietf-httpapi-idempotency-key-header-07). Each token has keys of its own. When there is no
// more room, the token that has most loses its oldest key.
type keys struct {
	forgotten atomic.Uint64 // keys that were forgotten before keyTTL

	mu   sync.Mutex
	of   map[*usage]*tokenKeys // guarded by mu: tokens that have keys; bound: idempotency keys
	size int                   // guarded by mu: bytes of all
}

// tokenKeys are the keys of one token.
type tokenKeys struct {
	all  map[string]*list.Element // of *keyed; bound: idempotency keys
	age  list.List                // the same, oldest first; bound: idempotency keys
	size int                      // bytes
}

// keyed is a request with a key. The goroutine of the request owns answer and err until it is done.
type keyed struct {
	// Static.
	usage *usage
	key   string
	body  [sha256.Size]byte // its hash
	since time.Time

	done bool // guarded by mu: there is an answer
	size int  // guarded by mu: bytes

	answer any
	err    error
}

func newKeys() *keys { return &keys{of: make(map[*usage]*tokenKeys)} }

// idempotencyKey returns the key of a request, or "" if it has none. The draft wants it in quotes;
// many clients send none.
func idempotencyKey(h http.Header) (string, error) {
	values := h.Values("Idempotency-Key")
	if len(values) == 0 {
		return "", nil
	}
	key := values[0]
	if quoted, ok := strings.CutPrefix(key, `"`); ok {
		if key, ok = strings.CutSuffix(quoted, `"`); !ok {
			key = ""
		}
	}
	odd := func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }
	if len(values) > 1 || key == "" || len(key) > maxKey || strings.ContainsFunc(key, odd) {
		return "", refuse(http.StatusBadRequest,
			"Idempotency-Key must be one value of 1 to %d printable ASCII characters without quotes and spaces", maxKey)
	}
	return key, nil
}

// begin begins a request with a key. With again, the key is known and kept has the answer.
// Otherwise the caller must call finish. The error says that the key belongs to another request, or
// that one with the same key has no answer yet.
func (k *keys) begin(of *usage, key string, body []byte) (kept *keyed, again bool, err error) {
	hash, now := sha256.Sum256(body), time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.expire(now)
	t := k.of[of]
	if t == nil {
		t = &tokenKeys{all: make(map[string]*list.Element)}
		k.of[of] = t
	}
	if e := t.all[key]; e != nil {
		switch kept = e.Value.(*keyed); {
		case kept.body != hash:
			return nil, false, refuse(http.StatusUnprocessableEntity,
				"the Idempotency-Key was used for a request with another body")
		case !kept.done:
			return nil, false, refuse(http.StatusConflict, "a request with the same Idempotency-Key is being answered")
		}
		return kept, true, nil
	}
	kept = &keyed{usage: of, key: key, body: hash, since: now}
	t.all[key] = t.age.PushBack(kept)
	k.resize(t, kept, keyCost+len(key))
	k.makeRoom()
	return kept, false, nil
}

// finish ends a request with a key. An answer that says that nothing was sent is forgotten, so that
// the request can be sent again with the same key.
func (k *keys) finish(kept *keyed) {
	k.mu.Lock()
	defer k.mu.Unlock()
	t := k.of[kept.usage]
	if t == nil || t.all[kept.key] == nil || t.all[kept.key].Value != kept {
		return // it was forgotten to make room
	}
	if kept.answer == nil || kept.err != nil && sentNothing(problemOf(kept.err).Status) {
		k.forget(t, kept)
		return
	}
	kept.done = true
	if batch, ok := kept.answer.(PublishedBatch); ok {
		k.resize(t, kept, kept.size+resultCost*len(batch.Results))
		for i := range batch.Results {
			if p := batch.Results[i].Error; p != nil {
				k.resize(t, kept, kept.size+resultCost+len(p.Detail))
			}
		}
	}
	k.makeRoom()
}

// sentNothing reports whether an error with the status says that no message was sent.
func sentNothing(status int) bool {
	return status < http.StatusInternalServerError || status == http.StatusServiceUnavailable
}

// resize sets the size of a key. mu must be held.
func (k *keys) resize(t *tokenKeys, kept *keyed, size int) {
	t.size += size - kept.size
	k.size += size - kept.size
	kept.size = size
}

// forget forgets a key. mu must be held.
func (k *keys) forget(t *tokenKeys, kept *keyed) {
	k.resize(t, kept, 0)
	t.age.Remove(t.all[kept.key])
	delete(t.all, kept.key)
	if len(t.all) == 0 {
		delete(k.of, kept.usage)
	}
}

// expire forgets keys that are older than keyTTL. mu must be held.
func (k *keys) expire(now time.Time) {
	for _, t := range k.of {
		for e := t.age.Front(); e != nil && now.Sub(e.Value.(*keyed).since) >= keyTTL; e = t.age.Front() {
			k.forget(t, e.Value.(*keyed))
		}
	}
}

// makeRoom forgets keys until the others take at most maxKeySize. mu must be held.
func (k *keys) makeRoom() {
	for k.size > maxKeySize {
		var most *tokenKeys
		for _, t := range k.of {
			if most == nil || t.size > most.size {
				most = t
			}
		}
		k.forgotten.Add(1)
		k.forget(most, most.age.Front().Value.(*keyed))
	}
}
