package report

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/seed-7410fe32/sluice/bench"
)

// setting is something that a run was given, or where it ran.
type setting struct{ name, value string }

// free are the settings that comparable runs may differ in: how long the run was and how the load was made, what the servers were given, and what is only told of a machine.
// All others are the load, or the processors.
var free = strings.Fields("warmup window drain loops processes sources binary gateways workers reactors pin procs targets addresses path version OS Arch Kernel Memory Go measured")

// settings are all of a run, the same number in the same order of each.
func settings(r *bench.Report) []setting {
	o := r.Options
	o.Label, o.PIDs = "", nil
	if o.Rate > 0 {
		o.InFlight, o.Think = 0, 0 // an open loop asks neither
	}
	if o.Servers.Gateways > 0 {
		o.Targets = nil // their ports are new in each run
	}
	var names []string
	for _, p := range r.Servers {
		names = append(names, p.Name)
	}
	all := append(fields(reflect.ValueOf(o)), fields(reflect.ValueOf(r.Machine))...)
	return append(all, setting{"version", r.Version}, setting{"measured", strings.Join(names, ", ")})
}

// fields are a struct's, and those of structs in it, by their names in JSON.
func fields(v reflect.Value) (all []setting) {
	for f, v := range v.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-", !f.IsExported():
			continue
		case name == "":
			name = f.Name
		}
		if v.Kind() == reflect.Struct {
			all = append(all, fields(v)...)
			continue
		}
		value := "none"
		switch {
		case v.Kind() == reflect.Pointer && !v.IsNil(): // it has many fields of its own
			b, err := json.Marshal(v.Interface())
			value = string(b)
			if err != nil {
				value = err.Error()
			}
		case !v.IsZero() || v.Kind() == reflect.Bool:
			value = fmt.Sprint(v)
		}
		all = append(all, setting{strings.ReplaceAll(strings.TrimSuffix(name, "_ns"), "_", " "), value})
	}
	return all
}

// differences are what keeps two sides from being compared, and what else their runs differ in.
func differences(a, b []*bench.Report) (unlike, others []string) {
	values := func(runs []*bench.Report, i int) (all []string) {
		for _, r := range runs {
			all = append(all, settings(r)[i].value)
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	for i, s := range settings(a[0]) {
		if len(values(slices.Concat(a, b), i)) == 1 {
			continue
		}
		line := clean(fmt.Sprintf("%s is %s in A and %s in B", s.name, strings.Join(values(a, i), " or "), strings.Join(values(b, i), " or ")))
		if s.name == "measured" {
			line += ": the sums of different servers are compared, and what is common to both"
		}
		if slices.Contains(free, s.name) {
			others = append(others, line)
		} else {
			unlike = append(unlike, line)
		}
	}
	return unlike, others
}
