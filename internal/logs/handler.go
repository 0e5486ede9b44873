package logs

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"
)

// DefaultRate is the number of lines of the same message in a second, unless SetRate changes it.
const DefaultRate = 20

// Handler writes records as lines of text or JSON. Level, format and rate may change while it is in
// use, and apply to all loggers that were made from it. Any goroutine may call its methods.
//
// Of lines with the same message and a level of info or higher it writes a number in each second.
// At the end of the second a line says how many were suppressed. Values of attributes whose name is
// that of a secret are not written.
type Handler struct {
	shared     *shared
	text, json slog.Handler
	unlimited  bool
}

// shared is what a Handler and those made from it have in common.
type shared struct {
	root    *Handler
	to      io.Writer
	level   slog.LevelVar
	json    atomic.Bool
	repeats repeats
}

// NewHandler returns a Handler that writes text of level info and higher to w, with one Write for
// each line.
func NewHandler(w io.Writer) *Handler {
	s := &shared{to: w}
	s.root = &Handler{
		shared: s,
		text:   slog.NewTextHandler(w, &slog.HandlerOptions{ReplaceAttr: maskSecrets}),
		json:   slog.NewJSONHandler(w, &slog.HandlerOptions{ReplaceAttr: forJSON}),
	}
	s.repeats.init(s.root.suppressed)
	return s.root
}

// Level returns the level below which nothing is written.
func (h *Handler) Level() *slog.LevelVar { return &h.shared.level }

// SetJSON selects the format: JSON, or text.
func (h *Handler) SetJSON(on bool) {
	h.shared.json.Store(on)
	if w, ok := h.shared.to.(*Writer); ok {
		w.json.Store(on)
	}
}

// SetRate sets how many lines of the same message are written in a second. A negative number means
// any number.
func (h *Handler) SetRate(perSecond int) { h.shared.repeats.rate.Store(int64(perSecond)) }

// Unlimited returns a Handler that writes every line. It is for lines that are not repetitions, as
// those of an access log.
func (h *Handler) Unlimited() *Handler {
	u := *h
	u.unlimited = true
	return &u
}

// Flush writes how many lines were suppressed and not reported yet.
func (h *Handler) Flush() { h.shared.repeats.flush() }

// LastLine returns the last line of a program: text as it is or, if the format is JSON, a record
// with it.
func (h *Handler) LastLine(text string) string {
	if text == "" || !h.shared.json.Load() {
		return text
	}
	var b bytes.Buffer
	last := NewHandler(&b)
	last.SetJSON(true)
	slog.New(last).Error("ended", "err", strings.TrimSpace(text))
	return b.String()
}

// Enabled implements slog.Handler.
func (h *Handler) Enabled(_ context.Context, level slog.Level) bool {
	return h.unlimited || level >= h.shared.level.Level()
}

// Handle implements slog.Handler.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	if !h.unlimited && r.Level >= slog.LevelInfo && !h.shared.repeats.allow(kind{r.Level, r.Message}) {
		return nil
	}
	if h.shared.json.Load() {
		return h.json.Handle(ctx, r)
	}
	return h.text.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Handler{h.shared, h.text.WithAttrs(attrs), h.json.WithAttrs(attrs), h.unlimited}
}

// WithGroup implements slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	return &Handler{h.shared, h.text.WithGroup(name), h.json.WithGroup(name), h.unlimited}
}

// suppressed writes how many lines of a kind were suppressed.
func (h *Handler) suppressed(k kind, n int) {
	r := slog.NewRecord(time.Now(), k.level, "log lines suppressed", 0)
	r.AddAttrs(slog.String("message", k.message), slog.Int("count", n))
	_ = h.Unlimited().Handle(context.Background(), r) // a Writer does not fail
}

// secretNames are parts of the names of attributes whose values are secrets.
var secretNames = []string{"authorization", "cookie", "password", "secret", "token"}

// maskSecrets replaces the values of attributes that are secrets. No code of this module logs one;
// this covers mistakes.
func maskSecrets(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindBool, slog.KindDuration, slog.KindFloat64, slog.KindInt64, slog.KindUint64, slog.KindTime:
		return a // how many tokens there are, for example
	}
	for _, s := range secretNames {
		if strings.Contains(strings.ToLower(a.Key), s) {
			return slog.String(a.Key, "***")
		}
	}
	return a
}

// forJSON also makes times in seconds of durations, which are nanoseconds otherwise.
func forJSON(groups []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		return slog.Float64(a.Key, a.Value.Duration().Seconds())
	}
	return maskSecrets(groups, a)
}
