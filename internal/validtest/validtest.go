// Package validtest tests that configurations are checked.
package validtest

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// Negative sets each number of a struct, and of the structs within, to a negative value, one after
// the other. check must then return an error that names the field, but none for the fields in
// mayBeNegative. A new field needs no entry in a test: it is refused or must be listed.
func Negative[C any](t *testing.T, good C, check func(C) error, mayBeNegative ...string) {
	t.Helper()
	if err := check(good); err != nil {
		t.Errorf("%T with no number negative: %v", good, err)
	}
	n := 0
	for _, path := range numbers(reflect.TypeFor[C](), nil) {
		c := good
		v, name := reflect.ValueOf(&c).Elem(), ""
		for _, i := range path {
			name += "." + v.Type().Field(i).Name
			v = v.Field(i)
		}
		if v.CanFloat() {
			v.SetFloat(-1)
		} else {
			v.SetInt(-1)
		}
		name = name[1:]
		n++
		err := check(c)
		switch may := slices.Contains(mayBeNegative, name); {
		case may && err != nil:
			t.Errorf("%T.%s, which may be negative: %v", good, name, err)
		case !may && (err == nil || !strings.Contains(err.Error(), name)):
			t.Errorf("%T.%s of -1: %v, want an error that names it", good, name, err)
		}
	}
	if n == 0 {
		t.Errorf("%T has no numbers", good)
	}
}

// numbers returns the paths to the signed numbers of a struct that can be set.
func numbers(of reflect.Type, prefix []int) (paths [][]int) {
	for i := range of.NumField() {
		path := append(slices.Clone(prefix), i)
		switch f := of.Field(i); {
		case !f.IsExported():
		case f.Type.Kind() == reflect.Struct:
			paths = append(paths, numbers(f.Type, path)...)
		case reflect.Zero(f.Type).CanInt() || reflect.Zero(f.Type).CanFloat():
			paths = append(paths, path)
		}
	}
	return paths
}
