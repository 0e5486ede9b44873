package report

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/seed-7410fe32/sluice/bench"
)

// setting is an option of a run, or a property of the machine.
type setting struct{ name, value string }

// free are the settings in which comparable runs may differ: times, the generator, the servers, and
// what does not change the processors. All others are the load, or the processors.
var free = strings.Fields(`warmup window drain loops processes sources binary gateways workers reactors pin procs
	targets addresses path version OS Arch Kernel Memory Go`)

// settings returns the settings of a run: the same number in the same order for each run.
func settings(r *bench.Report) []setting {
	o := r.Options
	o.Label, o.PIDs = "", nil
	if o.Rate > 0 {
		o.InFlight, o.Think = 0, 0 // an open loop uses neither
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

// fields lists the fields of a struct, and of structs in it, by their JSON names.
func fields(v reflect.Value) (all []setting) {
	for f, v := range v.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-", !f.IsExported():
			continue
		case name == "":
			name = f.Name
		}
		value := "none"
		switch {
		case v.Kind() == reflect.Struct:
			all = append(all, fields(v)...)
			continue
		case v.Kind() == reflect.Pointer && !v.IsNil():
			b, err := json.Marshal(v.Interface())
			value = string(b)
			if err != nil {
				value = err.Error()
			}
		case name == "Memory" && !v.IsZero():
			value = sizeOf(float64(v.Uint()))
		case !v.IsZero() || v.Kind() == reflect.Bool:
			value = fmt.Sprint(v)
		}
		all = append(all, setting{strings.ReplaceAll(strings.TrimSuffix(name, "_ns"), "_", " "), value})
	}
	return all
}

// differences lists the settings in which two sides differ: those that make
// them incomparable, and the others.
func differences(a, b []*bench.Report) (unlike, others []string) {
	values := func(runs []*bench.Report, i int) (all []string) {
		for _, r := range runs {
			all = append(all, settings(r)[i].value)
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	for i, s := range settings(a[0]) {
		x, y := values(a, i), values(b, i)
		if len(x) == 1 && slices.Equal(x, y) {
			continue
		}
		line := clean(fmt.Sprintf("%s is %s in A and %s in B", s.name, strings.Join(x, " or "), strings.Join(y, " or ")))
		switch {
		case s.name == "measured":
			others = append(others, line+": the sums compare different servers; a process is compared if both sides have it")
		case slices.Contains(free, s.name):
			others = append(others, line)
		default:
			unlike = append(unlike, line)
		}
	}
	return unlike, others
}
