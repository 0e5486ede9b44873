package bench

import (
	"errors"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestSettings has each setting at its bounds and beyond them, in a mode in which it applies and
// in one in which it does not.
func TestSettings(t *testing.T) {
	t.Parallel()
	o := Options{Mode: Broadcast, Codec: Text, Conns: 50}
	for _, s := range o.Settings() {
		m := Broadcast
		if s.Modes != nil && !slices.Contains(s.Modes, m) {
			m = s.Modes[0]
		}
		put := func(v float64) {
			f := reflect.ValueOf(s.Field).Elem()
			if f.CanFloat() {
				f.SetFloat(v)
			} else {
				f.SetInt(int64(v))
			}
		}
		step := 1.0
		if s.Name == "rate" {
			step = 1e-6
		}
		put(0)
		if s.Fill(); reflect.ValueOf(s.Field).Elem().IsZero() != (s.Default == 0) {
			t.Errorf("%s: nothing was filled in", s.Name)
		}
		for _, c := range []struct {
			v  float64
			ok bool
		}{
			{s.Default, true}, {s.Min, true}, {s.Max, true}, {s.Min - step, s.Min == step && s.Default == 0}, {s.Max + 1, false},
		} {
			put(c.v)
			err := s.check(m)
			if (err == nil) != c.ok {
				t.Errorf("%s of %v: %v", s.Name, c.v, err)
			}
			if err != nil && (!errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), s.Name+": ")) {
				t.Errorf("%s of %v: %v", s.Name, c.v, err)
			}
		}
		put(s.Max + 1)
		if s.Modes == nil {
			continue
		}
		for _, m := range Modes {
			if err := s.check(m); !slices.Contains(s.Modes, m) && (err == nil) != (s.Default != 0) {
				t.Errorf("%s in mode %s: %v", s.Name, m, err)
			}
		}
	}
}

// TestSettingsAreAll finds each number among the options in the table: a new one needs bounds.
func TestSettingsAreAll(t *testing.T) {
	t.Parallel()
	var o Options
	known := make(map[any]bool)
	for _, s := range o.Settings() {
		known[s.Field] = true
	}
	for _, v := range []reflect.Value{reflect.ValueOf(&o).Elem(), reflect.ValueOf(&o.Servers).Elem()} {
		for f, of := range v.Fields() {
			if (of.CanInt() || of.CanFloat()) && !known[of.Addr().Interface()] {
				t.Errorf("%s has no bounds", f.Name)
			}
		}
	}
}

// TestCheck has options that are valid alone, and may contradict each other.
func TestCheck(t *testing.T) {
	t.Parallel()
	self := os.Getpid()
	target := []string{"127.0.0.1:1"}
	memory := "MiB, and this machine has"
	if machine().Memory == 0 {
		memory = "" // it does not tell
	}
	for name, c := range map[string]struct {
		o    Options
		says string // empty: it is fine
	}{
		"all defaults":                 {Options{}, ""},
		"a room larger than the crowd": {Options{Mode: Rooms, Conns: 10}, ""},
		"all send":                     {Options{Mode: Broadcast, Conns: 10, Senders: 10}, ""},
		"more senders than clients":    {Options{Mode: Broadcast, Conns: 10, Senders: 11}, "senders: 11: must be at most 10"},
		"senders, elsewhere":           {Options{Mode: Echo, Conns: 10, Senders: 11}, ""},
		"a rate of churn":              {Options{Mode: Churn, Rate: 1}, "mode churn has no rate"},
		"slow readers of an echo":      {Options{SlowReaders: 1}, "mode echo has no slow-readers"},
		"a size for nothing":           {Options{Mode: Idle, Size: 1 << 40}, ""},
		"the largest size":             {Options{Size: maxMessage, Conns: 1}, ""},
		"too large":                    {Options{Size: maxMessage + 1}, "size: 16777217: must be at most 16777216"},
		"the smallest in a room":       {Options{Mode: Rooms, Codec: JSONLines, Size: 25}, ""},
		"too small for a room":         {Options{Mode: Rooms, Codec: JSONLines, Size: 24}, "size: 24: must be at least 25"},
		"push to nobody":               {Options{Mode: Push, Conns: 1}, "conns: 1: must be at least 2"},
		"none is due":                  {Options{Rate: 0.01}, "at 0.01 messages a second none is due in 10s"},
		"one is due":                   {Options{Rate: 0.1}, ""},
		"none is due, of connections": {
			Options{Mode: Connect, Rate: 1, Window: 999 * time.Millisecond}, "at 1 connections a second none",
		},
		"an endless rate": {Options{Rate: math.Inf(1)}, "Rate: +Inf: must be a finite number"},
		"a short moment":  {Options{Window: 1}, "duration: 1ns: must be at least 1ms"},
		"for ever":        {Options{Window: math.MaxInt64}, "duration: 2562047h47m16.854775807s: must be at most 240h0m0s"},
		"more in flight than fits": {
			Options{Conns: 1, InFlight: 5, Size: maxMessage}, "5 messages of 16777216 bytes in flight are more than the 64 MiB",
		},
		"just fits":                  {Options{Conns: 1, InFlight: 4, Size: maxMessage}, ""},
		"no matter, in an open loop": {Options{Conns: 1, InFlight: 5, Size: maxMessage, Rate: 1}, ""},
		"no matter, in a short life": {Options{Mode: Churn, Conns: 1, InFlight: 1000, PerConn: 4, Size: maxMessage}, ""},
		"more than memory":           {Options{Conns: maxStreams, Size: maxMessage}, memory},
		"one of them sends":          {Options{Mode: Broadcast, Conns: maxStreams, Size: maxMessage}, ""},
		"all of them in one room":    {Options{Mode: Rooms, Conns: maxStreams, RoomSize: maxStreams, Size: maxMessage}, ""},
		"reactors":                   {Options{Servers: Servers{Reactors: "2"}}, ""},
		"odd reactors":               {Options{Servers: Servers{Reactors: "many"}}, `reactors: "many"`},
		"no reactors":                {Options{Servers: Servers{Reactors: "0"}}, `reactors: "0"`},
		"sources":                    {Options{Sources: []string{"127.0.0.1", "::1"}}, ""},
		"no source": {
			Options{Sources: []string{"127.0.0.1", "localhost"}}, `source "localhost" is not an address`,
		},
		"too many processes": {Options{Mode: Chat, Conns: 100, Processes: 3}, "3 processes are too many"},
		"a process":          {Options{Targets: target, PIDs: []PID{{"worker", self}}}, ""},
		"no process":         {Options{PIDs: []PID{{"x", 1 << 30}}}, "there is no process 1073741824, named x"},
		"no name":            {Options{PIDs: []PID{{" ", self}}}, "the name must not be empty"},
		"the generator's name": {
			Options{Targets: target, PIDs: []PID{{generatorName, self}}}, "two processes have the name generator",
		},
		"the name of one started":     {Options{PIDs: []PID{{"worker", self}}}, "two processes have the name worker"},
		"the name of one not started": {Options{PIDs: []PID{{"worker-2", self}}}, ""},
		"the name of one of several": {
			Options{Servers: Servers{Workers: 2}, PIDs: []PID{{"worker-2", self}}}, "two processes have the name worker-2",
		},
		"one name for two":  {Options{PIDs: []PID{{"x", self}, {"x", os.Getppid()}}}, "two processes have the name x"},
		"two names for one": {Options{PIDs: []PID{{"x", self}, {"y", self}}}, "has two names, x and y"},
	} {
		c.o.defaults()
		err := c.o.check()
		named := err == nil || errors.Is(err, ErrOptions) && strings.Contains(err.Error(), c.says)
		if (err == nil) != (c.says == "") || !named {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}
