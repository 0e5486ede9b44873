package cli

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/logs"
)

// logOptions are the flags of the log.
type logOptions struct {
	format    string
	level     string
	rate      int
	access    bool
	accessOne int
}

// logFlags adds the flags of the log.
func logFlags(c *cobra.Command, o *logOptions) {
	f := c.Flags()
	f.StringVar(&o.format, "log-format", "text", "`format` of the log: text or json, a document in each line")
	f.StringVar(&o.level, "log-level", "info",
		"`level` of the log: debug (also each client that connects or disconnects), info, warn or error")
	f.IntVar(&o.rate, "log-rate", logs.DefaultRate,
		"`lines` a second with the same message, from level info; further ones are counted in one line; "+
			"negative: no limit")
	f.BoolVar(&o.access, "access-log", false, "log a line for each connection of a client when it ends")
	f.IntVar(&o.accessOne, "access-log-sample", 1, "`connections` of which one, chosen at random, is in the access log")
}

// logLevels are the values of --log-level.
var logLevels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
}

// check returns what is wrong with the options.
func (o *logOptions) check() error {
	_, known := logLevels[o.level]
	switch {
	case !known:
		return usageError{settingError{"log-level", -1, fmt.Errorf("%q: must be debug, info, warn or error", o.level)}}
	case o.format != "text" && o.format != "json":
		return usageError{settingError{"log-format", -1, fmt.Errorf("%q: must be text or json", o.format)}}
	case o.accessOne < 0:
		return usageError{settingError{"access-log-sample", -1, fmt.Errorf("%d: must be at least 1", o.accessOne)}}
	}
	return nil
}

// handlerOf returns the handler of the program's log, or nil if it has another one, as in tests.
func handlerOf(log *slog.Logger) *logs.Handler {
	h, _ := log.Handler().(*logs.Handler)
	return h
}

// apply puts the options into effect. They have been checked. A level that is as it was before does
// not undo what was set through the API.
func (o *logOptions) apply(log *slog.Logger, before string) {
	if h := handlerOf(log); h != nil {
		if o.level != before {
			h.Level().Set(logLevels[o.level])
		}
		h.SetJSON(o.format == "json")
		h.SetRate(o.rate)
	}
}

// accessLog returns the log for connections that have ended, or nil if there is none, and of how
// many connections it has one.
func (o *logOptions) accessLog(log *slog.Logger) (to *slog.Logger, sample int) {
	if o.access {
		to = unlimited(log)
	}
	return to, o.accessOne
}

// unlimited returns the log without its limits.
func unlimited(log *slog.Logger) *slog.Logger {
	if h := handlerOf(log); h != nil {
		return slog.New(h.Unlimited())
	}
	return log
}

// reloadLog makes the settings of the log changeable.
func reloadLog(o *options) {
	level := o.logs.level // in the configuration
	onReload(o, func(next *options) (func() error, error) {
		return func() error {
			next.logs.apply(o.log, level)
			level = next.logs.level
			return nil
		}, nil
	}, "log-format", "log-level", "log-rate")
}

// reloadAccessLog makes the settings of a gateway's access log changeable.
func reloadAccessLog(o *options, g *gateway.Gateway) {
	onReload(o, func(next *options) (func() error, error) {
		return func() error { g.SetAccessLog(next.logs.accessLog(o.log)); return nil }, nil
	}, "access-log", "access-log-sample")
}
