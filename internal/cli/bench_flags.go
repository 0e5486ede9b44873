package cli

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/spf13/pflag"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/bench/report"
)

// settingFlag is the flag of a bench.Setting. It implements pflag.Value.
type settingFlag struct{ bench.Setting }

// addSetting adds the flag of a setting, if it has one.
func addSetting(f *pflag.FlagSet, s bench.Setting) {
	if s.Usage != "" {
		f.VarP(settingFlag{s}, s.Name, s.Short, s.Usage)
	}
}

// Set implements pflag.Value. In the options 0 means the default: a setting that may be 0 becomes
// negative instead, which means none. A setting whose default is 0, or depends on the machine, may
// be given as 0. Other settings may not.
func (s settingFlag) Set(text string) error {
	v, err := s.parse(text)
	switch {
	case err != nil:
		return err
	case v == 0 && s.Min > 0 && s.Default > 0 && s.Name != "loops":
		return errors.New("must not be 0")
	case v == 0 && s.Min == 0:
		v = -1
	}
	switch p := s.Field.(type) {
	case *time.Duration:
		*p = time.Duration(v)
	case *float64:
		*p = v
	case *int:
		*p = int(v)
	}
	return nil
}

// parse reads a duration, or a number with an optional k or M.
func (s settingFlag) parse(text string) (float64, error) {
	if _, ok := s.Field.(*time.Duration); ok {
		d, err := time.ParseDuration(text)
		return float64(d), err
	}
	v, err := report.ParseNumber(text)
	if _, ok := s.Field.(*int); ok && v != math.Trunc(v) {
		return 0, fmt.Errorf("%q: must be a whole number", text)
	}
	if v > math.MaxInt32 {
		return 0, fmt.Errorf("%q: must be at most 2147483647", text)
	}
	return v, err
}

// String implements pflag.Value. It returns the value, or the default.
func (s settingFlag) String() string {
	switch p := s.Field.(type) {
	case *time.Duration:
		return max(cmp.Or(*p, time.Duration(s.Default)), 0).String()
	case *float64:
		return strconv.FormatFloat(cmp.Or(*p, s.Default), 'g', -1, 64)
	case *int:
		return strconv.Itoa(cmp.Or(*p, int(s.Default)))
	}
	return ""
}

// Type implements pflag.Value.
func (s settingFlag) Type() string {
	switch s.Field.(type) {
	case *time.Duration:
		return "duration"
	case *float64:
		return "N/s"
	}
	return "N"
}
