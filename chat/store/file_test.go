package store_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-7410fe32/sluice/chat/store"
)

func openFile(t *testing.T, dir string) (*store.Store, error) {
	t.Helper()
	return store.Open(dir, store.Config{Logger: slog.New(slog.DiscardHandler)})
}

func mustOpen(t *testing.T, dir string) talk {
	t.Helper()
	st, err := openFile(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	return talk{store.Client{Invoke: st.Serve}, t, st}
}

// What was stored is there when the file is opened again: messages, names, tokens.
func TestReopen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k := mustOpen(t, dir)
	ada := k.login("Ada", "")
	for i := range 30 {
		k.say(ada.UID, "lobby", fmt.Sprint(i))
	}
	if err := k.st.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Post(t.Context(), &store.Post{UID: "x", Room: "lobby", Text: "x"}); err == nil {
		t.Error("a closed store accepts a message")
	}
	k = mustOpen(t, dir)
	defer func() { _ = k.st.Close() }()
	if n := len(k.page(store.Read{Conversation: "#lobby"}).Messages); n != 30 {
		t.Errorf("%d messages, want 30", n)
	}
	want(t, "somebody else", k.refused(store.Login{Name: "Ada"}), "name_taken")
	again := k.login("Ada", ada.Token)
	if again.UID != ada.UID || again.Generation != ada.Generation {
		t.Errorf("%+v is not %+v", again, ada)
	}
}

// A file in use, one that is no database, and a folder that cannot be made are errors that say so.
func TestOpenErrors(t *testing.T) {
	t.Parallel()
	used := t.TempDir()
	k := mustOpen(t, used)
	defer func() { _ = k.st.Close() }()
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "chat.db"), []byte(strings.Repeat("text", 5000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for dir, says := range map[string]string{
		used: "in use by another process", other: "is damaged or is no file of this program",
		filepath.Join(other, "chat.db"): "not a directory",
	} {
		if st, err := openFile(t, dir); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, %v, want an error with %q", dir, st, err, says)
		}
	}
}

// A file that was cut off or overwritten is refused, or its operations return errors. Nothing
// panics, and no fault ends the process.
func TestDamage(t *testing.T) {
	t.Parallel()
	whole := t.TempDir()
	k := mustOpen(t, whole)
	ada := k.login("Ada", "")
	for i := range 300 {
		k.say(ada.UID, "lobby", strings.Repeat(fmt.Sprint(i), 50))
	}
	if err := k.st.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(whole, "chat.db"))
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	random := rand.New(rand.NewPCG(1, 2))
	const page = 4096
	for i := range 40 {
		bad := append([]byte(nil), b...)
		if i%2 == 0 {
			bad = bad[:2*page+random.IntN(len(b)-2*page)]
		} else {
			at := 2*page + random.IntN(len(b)-3*page)
			for j := range page {
				bad[at+j] = byte(random.Uint32())
			}
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "chat.db"), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		st, err := openFile(t, dir)
		if err != nil {
			refused++
			if !strings.Contains(err.Error(), "damaged") {
				t.Errorf("%v", err)
			}
			continue
		}
		c := store.Client{Invoke: st.Serve}
		_, _ = c.Read(t.Context(), &store.Read{UID: ada.UID, Conversation: "#lobby"}) // an error is as good as an answer
		_, _ = c.Post(t.Context(), &store.Post{UID: ada.UID, Room: "lobby", Text: "x"})
		_ = st.Close()
	}
	t.Logf("%d of 40 damaged files were refused", refused)
	if refused == 0 {
		t.Error("no damaged file was refused")
	}
}
