package admin

import (
	"fmt"
	"log/slog"
	"net/http"

	"github.com/seed-7410fe32/sluice/gateway"
)

// Kick is the body of POST /api/v1/kick. Exactly one of Client, UID and Group is set.
type Kick struct {
	Client string `json:"client,omitempty"`
	UID    string `json:"uid,omitempty"`
	Group  string `json:"group,omitempty"`
	// Code and Reason are in the close frame of a WebSocket.
	Code   uint16 `json:"code,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// Kicked is the answer to POST /api/v1/kick.
type Kicked struct {
	Kicked int `json:"kicked"` // clients
}

// Draining is the answer to POST /api/v1/drain.
type Draining struct {
	Draining bool `json:"draining"`
}

// Rebalance is the body of POST /api/v1/rebalance.
type Rebalance struct {
	Rate int `json:"rate,omitempty"` // clients in a second; 0: that of --rebalance, or else 100
}

// Rebalancing is the answer to POST /api/v1/rebalance.
type Rebalancing struct {
	Loops int `json:"loops"` // event loops that have begun
}

// LogLevel is the body of PUT /api/v1/log-level, and its answer and that of GET.
type LogLevel struct {
	Level string `json:"level"` // debug, info, warn or error
}

// Reloaded is the answer to POST /api/v1/reload.
type Reloaded struct {
	Reloaded bool `json:"reloaded"`
}

// kick answers POST /api/v1/kick.
func (s *Server) kick(w http.ResponseWriter, r *http.Request) (any, error) {
	var k Kick
	if err := read(w, r, &k); err != nil {
		return nil, err
	}
	target := gateway.Target{Client: k.Client, UID: k.UID, Group: k.Group}
	n, err := s.control.Kick(r.Context(), target, k.Code, k.Reason)
	s.audit(r, "kick", err, append(targetAttrs(target), "code", k.Code, "reason", k.Reason, "kicked", n)...)
	return Kicked{Kicked: n}, err
}

// targetAttrs describes a target in the log.
func targetAttrs(t gateway.Target) []any {
	switch {
	case t.Client != "":
		return []any{"client", t.Client}
	case t.UID != "":
		return []any{"uid", t.UID}
	case t.Group != "":
		return []any{"group", t.Group}
	}
	return []any{"all", t.All}
}

// drain answers POST /api/v1/drain.
func (s *Server) drain(_ http.ResponseWriter, r *http.Request) (any, error) {
	if s.cfg.Drain == nil {
		return nil, refuse(http.StatusNotImplemented, "this program cannot be drained by a request")
	}
	s.audit(r, "drain", nil)
	s.cfg.Drain()
	return accepted{Draining{Draining: true}}, nil
}

// accepted is an answer with status 202.
type accepted struct{ body any }

// reload answers POST /api/v1/reload.
func (s *Server) reload(_ http.ResponseWriter, r *http.Request) (any, error) {
	if s.cfg.Reload == nil {
		return nil, refuse(http.StatusNotImplemented, "this program has no configuration to read again")
	}
	err := s.cfg.Reload(r.Context())
	s.audit(r, "reload", err)
	if err != nil {
		return nil, refuse(http.StatusConflict, "the old configuration stays: %v", err)
	}
	return Reloaded{Reloaded: true}, nil
}

// rebalance answers POST /api/v1/rebalance.
func (s *Server) rebalance(w http.ResponseWriter, r *http.Request) (any, error) {
	var b Rebalance
	if err := read(w, r, &b); err != nil {
		return nil, err
	}
	loops, err := s.control.Rebalance(r.Context(), b.Rate)
	if err == nil && loops == 0 {
		err = refuse(http.StatusConflict, "no event loop has two workers that take clients")
	}
	s.audit(r, "rebalance", err, "rate", b.Rate, "loops", loops)
	return accepted{Rebalancing{Loops: loops}}, err
}

// logLevel answers GET /api/v1/log-level.
func (s *Server) logLevel(http.ResponseWriter, *http.Request) (any, error) {
	if s.cfg.LogLevel == nil {
		return nil, errNoLevel
	}
	return LogLevel{Level: levelName(s.cfg.LogLevel.Level())}, nil
}

// setLogLevel answers PUT /api/v1/log-level.
func (s *Server) setLogLevel(w http.ResponseWriter, r *http.Request) (any, error) {
	var l LogLevel
	if err := read(w, r, &l); err != nil {
		return nil, err
	}
	if s.cfg.LogLevel == nil {
		return nil, errNoLevel
	}
	level, ok := levels[l.Level]
	if !ok {
		return nil, refuse(http.StatusBadRequest, "level %q: must be debug, info, warn or error", l.Level)
	}
	old := s.cfg.LogLevel.Level()
	// The line is written at whichever of the two levels shows it.
	if level > old {
		s.audit(r, "log-level", nil, "from", levelName(old), "to", l.Level)
		s.cfg.LogLevel.Set(level)
	} else {
		s.cfg.LogLevel.Set(level)
		s.audit(r, "log-level", nil, "from", levelName(old), "to", l.Level)
	}
	return l, nil
}

var errNoLevel error = refuse(http.StatusNotImplemented, "this program has no log level that can be changed")

var levels = map[string]slog.Level{ // bound: none, constant
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
}

func levelName(of slog.Level) string {
	for name, level := range levels {
		if level == of {
			return name
		}
	}
	return fmt.Sprint(of)
}

// audit logs a change that a request has made or tried. The name of its token is the operator: an
// attribute called token would be masked.
func (s *Server) audit(r *http.Request, what string, err error, details ...any) {
	line := append([]any{"change", what, "addr", r.RemoteAddr, "operator", callerOf(r).name}, details...)
	if err != nil {
		s.cfg.Logger.Warn("admin change failed", append(line, "err", err)...)
		return
	}
	s.cfg.Audit.Info("admin change", line...)
}
