package cli

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// renamed has the flags of chat, echo and gateway that had another name before, with their present
// one.
var renamed = map[string]string{
	"drain-for":      "drain-timeout",
	"drain-pace":     "drain-rate",
	"first-message":  "first-message-timeout",
	"hold-bytes":     "max-unrouted-bytes",
	"idle":           "idle-timeout",
	"leash":          "exit-with-parent",
	"partial-bytes":  "max-partial-bytes",
	"queue-bytes":    "max-queue-bytes",
	"stall":          "write-timeout",
	"takeover-bytes": "max-takeover-bytes",
}

// acceptRenamed makes a command accept the old names too: the flags of bench commands stay.
func acceptRenamed(c *cobra.Command) {
	c.Flags().SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if now := renamed[name]; now != "" {
			name = now
		}
		return pflag.NormalizedName(name)
	})
}

// flagError returns the usage error for a command line that cannot be parsed. An old name of a flag
// is answered with the new one.
func flagError(c *cobra.Command, err error) error {
	if missing, ok := errors.AsType[*pflag.NotExistError](err); ok {
		if now := renamed[missing.GetSpecifiedName()]; now != "" {
			err = fmt.Errorf("--%s is now --%s", missing.GetSpecifiedName(), now)
		}
	}
	return valueError(c, err)
}

// valueError returns the usage error for a command line that cannot be parsed. It says what the
// value of a number or a bool must be.
func valueError(_ *cobra.Command, err error) error {
	invalid, ok := errors.AsType[*pflag.InvalidValueError](err)
	number, isNumber := errors.AsType[*strconv.NumError](err)
	if !ok || !isNumber {
		return usageError{err}
	}
	want := "must be a whole number"
	switch {
	case errors.Is(number, strconv.ErrRange):
		want = "out of range"
	case number.Func == "ParseBool":
		want = "must be true or false"
	}
	return usageError{fmt.Errorf("--%s: %q: %s", invalid.GetFlag().Name, invalid.GetValue(), want)}
}
