package store_test

import (
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7410fe32/sluice/chat/store"
	"github.com/seed-7410fe32/sluice/internal/kv"
	"github.com/seed-7410fe32/sluice/internal/kv/kvtest"
)

func share(t *testing.T, r *kvtest.Remote) talk {
	t.Helper()
	st, err := store.Share(r, store.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	return talk{store.Client{Invoke: st.Serve}, t, st}
}

// Another process has everything that the first one has: messages, names, tokens, generation.
func TestShared(t *testing.T) {
	t.Parallel()
	r := kvtest.NewRemote()
	a, b := share(t, r), share(t, r)
	ada := a.login("Ada", "")
	a.say(ada.UID, "lobby", "one")
	if m := b.say(ada.UID, "lobby", "two"); m.Seq != 2 {
		t.Errorf("the second message has number %d", m.Seq)
	}
	want(t, "texts", texts(a.page(store.Read{Conversation: "#lobby"})), "[one two]")
	want(t, "somebody else", b.refused(store.Login{Name: "Ada"}), store.CodeNameTaken)
	if again := b.login("Ada", ada.Token); again.UID != ada.UID || again.Generation != ada.Generation {
		t.Errorf("%+v is not %+v", again, ada)
	}
}

// Processes that are called at the same time lose nothing.
func TestSharedAtOnce(t *testing.T) {
	t.Parallel()
	r := kvtest.NewRemote()
	var posting sync.WaitGroup
	const processes, messages = 2, 40
	for range processes {
		k := share(t, r)
		posting.Go(func() {
			for range messages {
				for { // after some conflicts a call fails, and nothing was stored
					_, err := k.Post(t.Context(), &store.Post{UID: "x", Room: "lobby", Author: "x", Text: "x"})
					if err == nil {
						break
					} else if !errors.Is(err, kv.ErrConflict) {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	posting.Wait()
	p := share(t, r).page(store.Read{Conversation: "#lobby", Limit: 100})
	if len(p.Messages) != processes*messages || p.Last != processes*messages {
		t.Errorf("%d messages, the last is number %d", len(p.Messages), p.Last)
	}
}

// When everything is lost and nobody has a copy, the next call begins anew, with another
// generation. A process that was called before notices.
func TestSharedBeginsAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := kvtest.NewRemote()
		lose := r.Save()
		a := share(t, r)
		before := a.login("Ada", "")
		b, err := store.Share(r, store.Config{Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		talk{store.Client{Invoke: b.Serve}, t, b}.login("Bob", "")
		time.Sleep(2 * time.Second) // a forgets its copy
		synctest.Wait()
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		lose()
		after := share(t, r).login("Cem", "")
		if after.Generation == before.Generation || after.Generation == "" {
			t.Errorf("generations %q and %q", before.Generation, after.Generation)
		}
		if again := a.login("Cem", after.Token); again.UID != after.UID || again.Generation != after.Generation {
			t.Errorf("%+v is not %+v", again, after)
		}
	})
}
