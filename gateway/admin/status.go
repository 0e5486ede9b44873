package admin

import (
	"net/http"
	"runtime"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
)

// Status is the answer to GET /api/v1/status.
type Status struct {
	ID       uint32           `json:"id"`
	Name     string           `json:"name"`
	Version  string           `json:"version"`
	Go       string           `json:"go"`
	Uptime   float64          `json:"uptime_seconds"`
	Ready    bool             `json:"ready"`
	Reason   string           `json:"reason,omitempty"` // why it is not ready
	Note     string           `json:"note,omitempty"`   // what is wrong and does not matter to clients
	Draining bool             `json:"draining"`
	Inner    string           `json:"inner"` // host:port where workers connect
	Clients  int              `json:"clients"`
	Workers  int              `json:"workers"`
	Listen   []ListenerStatus `json:"listeners"`
	Loops    []LoopStatus     `json:"loops"`
	Totals   Totals           `json:"totals"`
}

// ListenerStatus is a listener of clients.
type ListenerStatus struct {
	URL         string `json:"url"`
	Connections int    `json:"connections"`
	Accepted    uint64 `json:"accepted_total"`
	Refused     uint64 `json:"refused_total"`
}

// LoopStatus is an event loop.
type LoopStatus struct {
	Clients  int `json:"clients"`
	Pending  int `json:"pending"`
	Workers  int `json:"workers"`
	Queued   int `json:"queued_bytes"`
	Buffered int `json:"buffered_bytes"`
	Slow     int `json:"slow_connections"`
	Totals   `json:"totals"`
}

// Totals are counters since the start.
type Totals struct {
	Opened       uint64 `json:"clients_opened"`
	Closed       uint64 `json:"clients_closed"`
	MessagesIn   uint64 `json:"messages_received"`
	MessagesOut  uint64 `json:"messages_sent"`
	Rejected     uint64 `json:"messages_rejected"`
	DeadLettered uint64 `json:"dead_letters"`
	Dropped      uint64 `json:"messages_dropped"`
	SlowCloses   uint64 `json:"slow_closes"`
	Handshakes   uint64 `json:"handshakes_rejected"`
}

// status answers GET /api/v1/status.
func (s *Server) status(_ http.ResponseWriter, r *http.Request) (any, error) {
	if _, err := query(r); err != nil {
		return nil, err
	}
	g := s.cfg.Gateway
	stats := g.Stats()
	id, name := s.control.Gateway()
	a := Status{
		ID: id, Name: name, Version: s.cfg.Version, Go: runtime.Version(),
		Uptime: time.Since(s.started).Seconds(), Draining: g.Draining(), Inner: g.WorkerAddr(), Note: directoryNote(g),
		Clients: stats.Clients, Workers: stats.Workers, Totals: totals(&stats.LoopStats),
		Listen: []ListenerStatus{}, Loops: []LoopStatus{},
	}
	if err := g.Readiness(); err != nil {
		a.Reason = err.Error()
	} else {
		a.Ready = true
	}
	for _, l := range stats.Listeners {
		a.Listen = append(a.Listen, ListenerStatus{
			l.URL, l.Conns, l.Accepted, l.OverMaxConns + l.OverMaxPerIP + l.OverRate + l.Refused + l.Failed +
				l.TLS.OverRate,
		})
	}
	for i := range stats.Loops {
		l := &stats.Loops[i]
		a.Loops = append(a.Loops, LoopStatus{
			Clients: l.Clients, Pending: l.Pending, Workers: l.Workers, Queued: l.QueuedBytes,
			Buffered: l.BufferedBytes, Slow: l.SlowConns, Totals: totals(l),
		})
	}
	return a, nil
}

func totals(s *gateway.LoopStats) Totals {
	return Totals{
		Opened: s.Opened, Closed: s.Closed, MessagesIn: s.MessagesIn, MessagesOut: s.MessagesOut,
		Rejected: s.MessagesRejected, DeadLettered: s.DeadLettered, Dropped: s.DroppedOldest + s.DroppedNewest,
		SlowCloses: s.SlowConsumerCloses + s.WriteTimeoutCloses + s.MemoryLimitCloses,
		Handshakes: s.HandshakesRejected,
	}
}
