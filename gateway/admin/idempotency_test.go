package admin

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func status(err error) int {
	if err == nil {
		return 0
	}
	return problemOf(err).Status
}

// While a request is being answered, a second one with the same key is refused. A key belongs to
// its token.
func TestKeysAreOfOneRequest(t *testing.T) {
	t.Parallel()
	k, ada, bob := newKeys(), newUsage(0), newUsage(0)
	first, again, err := k.begin(ada, "key", []byte("body"))
	if again || err != nil {
		t.Fatal(again, err)
	}
	if _, _, err := k.begin(ada, "key", []byte("body")); status(err) != 409 {
		t.Errorf("at the same time: %v", err)
	}
	if _, again, err := k.begin(bob, "key", []byte("other")); again || err != nil {
		t.Errorf("another token: %v %v", again, err)
	}
	first.answer = Published{Delivered: 7}
	k.finish(first)
	kept, again, err := k.begin(ada, "key", []byte("body"))
	if !again || err != nil || kept.answer != any(Published{Delivered: 7}) {
		t.Errorf("%v %v", again, err)
	}
	if _, _, err := k.begin(ada, "key", []byte("other")); status(err) != 422 {
		t.Errorf("another body: %v", err)
	}
}

// Answers that say that nothing was sent are forgotten, and a request without an answer is too. One
// that may have sent something is kept.
func TestKeysOfFailures(t *testing.T) {
	t.Parallel()
	for code, kept := range map[int]bool{0: false, 400: false, 404: false, 429: false, 503: false, 500: true, 504: true} {
		k, u := newKeys(), newUsage(0)
		first, _, err := k.begin(u, "key", nil)
		if err != nil {
			t.Fatal(err)
		}
		if code != 0 {
			first.answer, first.err = Published{}, refuse(code, "x")
		}
		k.finish(first)
		if _, again, err := k.begin(u, "key", nil); again != kept || err != nil {
			t.Errorf("%d: %v %v", code, again, err)
		}
	}
}

// Keys are forgotten after an hour, and before that when there is no room: those of the token that
// has most, the oldest first.
func TestKeysAreBounded(t *testing.T) {
	t.Parallel()
	k, flood, calm := newKeys(), newUsage(0), newUsage(0)
	first, _, err := k.begin(calm, "calm", nil)
	if err != nil {
		t.Fatal(err)
	}
	first.answer = Published{}
	k.finish(first)
	answer := PublishedBatch{Results: make([]Delivered, maxBatch)}
	for i := range answer.Results {
		answer.Results[i].Error = refuse(400, "%s", strings.Repeat("x", 100))
	}
	const n = 1000
	for i := range n {
		kept, again, err := k.begin(flood, fmt.Sprint("key", i), nil)
		if again || err != nil {
			t.Fatal(again, err)
		}
		kept.answer = answer
		k.finish(kept)
		if k.size > maxKeySize {
			t.Fatalf("%d bytes", k.size)
		}
	}
	left := len(k.of[flood].all)
	if left < 10 || left == n || int(k.forgotten.Load()) != n-left || k.of[flood].all[fmt.Sprint("key", n-1)] == nil {
		t.Errorf("%d left, %d forgotten", left, k.forgotten.Load())
	}
	if _, again, _ := k.begin(calm, "calm", nil); !again {
		t.Error("the key of the other token is forgotten")
	}
	first.since = time.Now().Add(-keyTTL)
	if _, again, _ := k.begin(calm, "calm", nil); again {
		t.Error("a key is remembered for more than an hour")
	}
	k.expire(time.Now().Add(2 * keyTTL))
	if len(k.of) != 0 || k.size != 0 {
		t.Errorf("%d tokens, %d bytes", len(k.of), k.size)
	}
}

// FuzzReadGrant checks that what is accepted is what String says, and that a narrow grant allows no
// other target.
func FuzzReadGrant(f *testing.F) {
	for s := range strings.FieldsSeq("read publish:group=a* publish:uid=*,read operate,publish:uid=a publish:uid= ,") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		g, err := readGrant(text)
		if err != nil {
			return
		}
		again, err := readGrant(g.String())
		if err != nil || again.String() != g.String() {
			t.Errorf("%q becomes %q: %v", text, g, err)
		}
		if len(g.targets) > 0 && (g.has(scopeOperate) || g.reaches(targetOf(&Publish{All: true}))) {
			t.Errorf("%q allows too much", text)
		}
	})
}
