package validtest

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// Field is what one field of a configuration accepts. The zero Field is one of which every value is
// valid; a signed number may not be negative then.
type Field struct {
	// Default is what a number of 0 is after the check.
	Default int64
	// Random: a number of 0 becomes any other one.
	Random bool
	// Off: a negative number is accepted.
	Off bool
	// Min and Max are the smallest and the largest number that are accepted. 0: not tested.
	Min, Max int64
	// Good and Bad are values that are accepted and refused.
	Good, Bad []any
}

// Fields tests each field of a configuration against a table. check sets defaults and returns an
// error that names the field. A field that is not in the table fails the test, and so does an entry
// without a field.
func Fields[C any](t *testing.T, good C, check func(*C) error, table map[string]Field) {
	t.Helper()
	kind := reflect.TypeFor[C]()
	for _, name := range slices.Sorted(maps.Keys(table)) {
		if _, ok := kind.FieldByName(name); !ok {
			t.Errorf("%v has no field %s", kind, name)
		}
	}
	for f := range kind.Fields() {
		rule, ok := table[f.Name]
		if !ok {
			t.Errorf("%v.%s is not in the table: what does it accept?", kind, f.Name)
			continue
		}
		try := func(value any, valid bool) reflect.Value {
			t.Helper()
			c := good
			field := reflect.ValueOf(&c).Elem().FieldByIndex(f.Index)
			field.Set(reflect.ValueOf(value).Convert(f.Type))
			err := check(&c)
			switch {
			case valid && err != nil:
				t.Errorf("%v.%s of %v: %v", kind, f.Name, value, err)
			case !valid && (err == nil || !strings.Contains(err.Error(), f.Name)):
				t.Errorf("%v.%s of %v: %v, want an error that names it", kind, f.Name, value, err)
			}
			return field
		}
		for _, value := range rule.Good {
			try(value, true)
		}
		for _, value := range rule.Bad {
			try(value, false)
		}
		zero := reflect.Zero(f.Type)
		if !zero.CanInt() && !zero.CanUint() {
			continue
		}
		switch got := try(int64(0), true).Convert(reflect.TypeFor[int64]()).Int(); {
		case rule.Random && got == 0, !rule.Random && got != rule.Default:
			t.Errorf("%v.%s of 0 becomes %d, want %d", kind, f.Name, got, rule.Default)
		}
		if zero.CanInt() {
			try(int64(-1), rule.Off)
		}
		if rule.Min > 1 {
			try(rule.Min, true)
			try(rule.Min-1, false)
		}
		if rule.Max > 0 {
			try(rule.Max, true)
			try(rule.Max+1, false)
		}
	}
}
