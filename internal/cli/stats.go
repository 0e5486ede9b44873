package cli

import (
	"fmt"
	"log/slog"

	"github.com/spf13/pflag"

	"github.com/seed-7410fe32/sluice/internal/stats/keep"
)

// statsOptions are the flags about statistics, and what is made of them.
type statsOptions struct {
	maxBytes int // of the file

	keeper *keep.Keeper // nil: this process keeps none
}

// addFlags adds the flags about statistics.
func (s *statsOptions) addFlags(f *pflag.FlagSet) {
	f.IntVar(&s.maxBytes, "stats-max-bytes", 256<<20,
		"`bytes` of the file with statistics in --data, at least 16777216; past it the oldest are removed")
}

// check refuses values that are not possible.
func (s *statsOptions) check() error {
	if s.maxBytes < keep.MinBytes {
		return usageError{settingError{"stats-max-bytes", -1,
			fmt.Errorf("%d: must be at least %d", s.maxBytes, keep.MinBytes)}}
	}
	return nil
}

// open opens what keeps statistics: a file in --data, or the memory if operators can ask for them.
func (s *statsOptions) open(o *options) (err error) {
	if err := s.check(); err != nil {
		return err
	}
	switch {
	case o.data != "":
		if s.keeper, err = keep.Open(o.data, keep.Config{MaxBytes: s.maxBytes, Logger: o.log}); err != nil {
			return fmt.Errorf("--data: %w", err)
		}
		o.log.Info("statistics", "directory", o.data)
	case o.admin != "":
		if s.keeper, err = keep.New(keep.Config{Logger: o.log}); err != nil {
			return err
		}
		o.log.Info("statistics are in memory, for an hour: --data keeps them")
	}
	return nil
}

// close closes what keeps statistics.
func (s *statsOptions) close(log *slog.Logger) {
	if s.keeper == nil {
		return
	}
	if err := s.keeper.Close(); err != nil {
		log.Error("the statistics were not closed", "err", err)
	}
}
