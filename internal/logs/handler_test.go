package logs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// lockedBuffer is a buffer that a timer may write to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lockedBuffer) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b.Reset()
}

// Of lines with the same message a number is written in a second. A line says how many were not,
// also when no other line follows. Other messages, other levels and debug lines go on.
func TestRepeatedLinesAreCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b lockedBuffer
		h := NewHandler(&b)
		h.Level().Set(slog.LevelDebug)
		log := slog.New(h).With("who", "me")
		for i := range 3 * DefaultRate {
			log.Warn("again", "i", i)
			log.Debug("detail")
		}
		log.Warn("other")
		log.Info("again")
		if n := strings.Count(b.String(), "msg=again"); n != DefaultRate+1 {
			t.Errorf("%d lines, not %d", n, DefaultRate+1)
		}
		if strings.Contains(b.String(), "suppressed") || strings.Count(b.String(), "msg=detail") != 3*DefaultRate ||
			strings.Count(b.String(), "msg=other") != 1 {
			t.Error(b.String())
		}
		time.Sleep(window)
		synctest.Wait()
		want := fmt.Sprintf(`level=WARN msg="log lines suppressed" message=again count=%d`+"\n", 2*DefaultRate)
		if !strings.HasSuffix(b.String(), want) || strings.Count(b.String(), "suppressed") != 1 {
			t.Errorf("no %q at the end of\n%s", want, b.String())
		}
		b.Reset()
		for range DefaultRate {
			log.Warn("again")
		}
		time.Sleep(window)
		for range DefaultRate + 2 {
			log.Warn("again")
		}
		if n := strings.Count(b.String(), "msg=again"); n != 2*DefaultRate {
			t.Errorf("%d lines in two seconds, not %d", n, 2*DefaultRate)
		}
		h.Flush() // the end of the program
		if !strings.HasSuffix(b.String(), "message=again count=2\n") {
			t.Error(b.String())
		}
		b.Reset()
		time.Sleep(2 * window)
		synctest.Wait()
		if b.String() != "" {
			t.Errorf("reported twice: %s", b.String())
		}
	})
}

// A flood of different messages takes no memory without bound, and none of its lines is lost.
func TestKindsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		h := NewHandler(&b)
		log := slog.New(h)
		for i := range 2 * maxKinds {
			log.Info(fmt.Sprint("message ", i))
		}
		if n := len(h.shared.repeats.seen); n != maxKinds {
			t.Errorf("%d kinds are counted, not %d", n, maxKinds)
		}
		if n := strings.Count(b.String(), "\n"); n != 2*maxKinds {
			t.Errorf("%d lines, not %d", n, 2*maxKinds)
		}
		time.Sleep(window)
		log.Info("new")
		if n := len(h.shared.repeats.seen); n != 1 {
			t.Errorf("%d kinds are counted after their second, not 1", n)
		}
	})
}

// Format, level and rate change for all loggers at once, also for those that were made before.
func TestSettingsOfTheLog(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	h := NewHandler(&b)
	log := slog.New(h).With("a", 1).WithGroup("g")
	access := slog.New(h.Unlimited())
	line := func(do func()) string {
		b.Reset()
		do()
		return b.String()
	}
	if got := line(func() { log.Debug("x") }); got != "" {
		t.Errorf("debug at level info: %s", got)
	}
	h.Level().Set(slog.LevelError)
	if got := line(func() { log.Warn("x") }); got != "" {
		t.Errorf("warn at level error: %s", got)
	}
	if got := line(func() { access.Info("access") }); got == "" {
		t.Error("the access log depends on the level")
	}
	h.SetJSON(true)
	var record map[string]any
	text := line(func() { log.Error("x", "b", 2, "took", 1500*time.Millisecond) })
	if err := json.Unmarshal([]byte(text), &record); err != nil {
		t.Fatal(err)
	}
	g, _ := record["g"].(map[string]any)
	if record["a"] != 1.0 || g["b"] != 2.0 || g["took"] != 1.5 || record["msg"] != "x" {
		t.Errorf("%v", record)
	}
	err := json.Unmarshal([]byte(h.LastLine("sluice: it broke\nhelp\n")), &record)
	if err != nil || record["err"] != "sluice: it broke\nhelp" {
		t.Errorf("the last line: %v, %v", record, err)
	}
	h.SetJSON(false)
	if got := h.LastLine("sluice: it broke\n"); got != "sluice: it broke\n" {
		t.Errorf("the last line: %q", got)
	}
	h.SetRate(-1)
	got := line(func() {
		for range 10 * DefaultRate {
			log.Error("same")
		}
	})
	if n := strings.Count(got, "msg=same"); n != 10*DefaultRate {
		t.Errorf("%d lines without a limit, not %d", n, 10*DefaultRate)
	}
}

// Attributes with the name of a secret are masked, whatever writes them.
func TestSecretsAreMasked(t *testing.T) {
	t.Parallel()
	for _, asJSON := range []bool{false, true} {
		var b bytes.Buffer
		h := NewHandler(&b)
		h.SetJSON(asJSON)
		slog.New(h).With("Cookie", "hunter2").Info("x", "api_token", "hunter2", slog.Group("g", "Authorization", "hunter2"),
			"password", []byte("hunter2"), "kept", "visible", "tokens", 3)
		if strings.Contains(b.String(), "hunter2") || !strings.Contains(b.String(), "visible") ||
			strings.Count(b.String(), "***") != 4 {
			t.Error(b.String())
		}
	}
}

// The report of lost lines has the format of the log.
func TestLostLinesInJSON(t *testing.T) {
	t.Parallel()
	w := New(&bytes.Buffer{})
	NewHandler(w).SetJSON(true)
	var record map[string]any
	err := json.Unmarshal(w.report(3), &record)
	if err != nil || record["msg"] != "log lines lost" || record["count"] != 3.0 {
		t.Errorf("%v, %v", record, err)
	}
	w.Close("", time.Minute)
}
