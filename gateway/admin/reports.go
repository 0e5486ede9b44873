package admin

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"

	"golang.org/x/sync/errgroup"

	"github.com/seed-7410fe32/sluice/internal/stats"
)

// maxReporting is how many requests with reports are answered at the same time, so that they leave
// room for others.
const maxReporting = 16

// reports answers POST /api/v1/stats/reports: with 204 when all reports are kept.
func (s *statistics) reports(w http.ResponseWriter, r *http.Request) {
	if err := s.takeReports(w, r); err != nil {
		if p, ok := errors.AsType[*problem](err); ok && p.Status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "1")
		}
		fail(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// takeReports keeps the reports of a request's body.
func (s *statistics) takeReports(w http.ResponseWriter, r *http.Request) error {
	k, err := s.keeper()
	if err != nil {
		return err
	}
	select {
	case s.reporting <- struct{}{}:
		defer func() { <-s.reporting }()
	default:
		return refuse(http.StatusServiceUnavailable, "%d requests with reports are being answered", maxReporting)
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/octet-stream" {
		return refuse(http.StatusUnsupportedMediaType, "Content-Type must be application/octet-stream")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, stats.MaxBatch))
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return refuse(http.StatusRequestEntityTooLarge, "the body has more than %d bytes", stats.MaxBatch)
	}
	if err != nil {
		return refuse(http.StatusBadRequest, "the body cannot be read: %v", err)
	}
	all, err := stats.ReadBatch(body)
	if err != nil {
		return refuse(http.StatusBadRequest, "the body is not valid: %v", err)
	}
	ctx, cancel := context.WithTimeout(r.Context(), requestTime)
	defer cancel()
	var kept errgroup.Group
	for i := range all {
		kept.Go(func() error { return k.Take(ctx, &all[i]) })
	}
	if err := kept.Wait(); err != nil {
		return refuse(http.StatusServiceUnavailable, "not kept, send it again: %v", err)
	}
	return nil
}
