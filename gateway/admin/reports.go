package admin

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"

	"golang.org/x/sync/errgroup"

	"github.com/seed-7410fe32/sluice/internal/stats"
	"github.com/seed-7410fe32/sluice/internal/stats/keep"
)

const (
	// maxReporting is how many requests with reports are answered at the same time, so that they
	// leave room for others.
	maxReporting = 16
	// maxRows bounds the rows of all reports that are being kept.
	maxRows = 16_384
)

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
	batch, err := stats.SplitBatch(body)
	rows := make([]int64, len(batch))
	for i := range batch {
		if err == nil {
			var report stats.Report
			report, err = stats.ReadReport(batch[i])
			rows[i] = int64(len(report.Rows))
		}
	}
	if err != nil {
		return refuse(http.StatusBadRequest, "the body is not valid: %v", err)
	}
	ctx, cancel := context.WithTimeout(r.Context(), requestTime)
	defer cancel()
	if err := s.takeBatch(ctx, k, batch, rows); err != nil {
		return refuse(http.StatusServiceUnavailable, "not kept, send it again: %v", err)
	}
	return nil
}

// takeBatch keeps reports that have so many rows. A row takes 4 KiB of memory until it is kept, and
// few bytes in the report, so there is a bound for all requests.
func (s *statistics) takeBatch(ctx context.Context, k *keep.Keeper, batch [][]byte, rows []int64) error {
	var all errgroup.Group
	for i := range batch {
		if err := s.room.Acquire(ctx, rows[i]); err != nil {
			return errors.Join(err, all.Wait())
		}
		report, err := stats.ReadReport(batch[i])
		all.Go(func() error {
			defer s.room.Release(rows[i])
			if err != nil {
				return err
			}
			return k.Take(ctx, &report)
		})
	}
	return all.Wait()
}
