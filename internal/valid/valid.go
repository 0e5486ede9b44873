// Package valid checks configurations.
package valid

import (
	"errors"
	"fmt"
	"math"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Numbers looks for a number in a struct that is negative or not finite. It returns the name of the
// first such field and the error, or an empty name. The fields in mayBeNegative may be negative. It
// looks into structs within the struct; the names of their fields have a dot.
func Numbers(config any, mayBeNegative ...string) (field string, err error) {
	return numbers(reflect.Indirect(reflect.ValueOf(config)), "", mayBeNegative)
}

func numbers(v reflect.Value, prefix string, mayBeNegative []string) (string, error) {
	for f, of := range v.Fields() {
		name := prefix + f.Name
		if !f.IsExported() || slices.Contains(mayBeNegative, name) {
			continue
		}
		switch {
		case of.Kind() == reflect.Struct:
			if name, err := numbers(of, name+".", mayBeNegative); err != nil {
				return name, err
			}
		case of.CanInt() && of.Int() < 0, of.CanFloat() && of.Float() < 0:
			return name, fmt.Errorf("%v is negative, must be 0 or more", of.Interface())
		case of.CanFloat() && (math.IsNaN(of.Float()) || math.IsInf(of.Float(), 0)):
			return name, fmt.Errorf("%v is no number", of.Interface())
		}
	}
	return "", nil
}

// HostPort returns an error when addr is not of the form HOST:PORT. The error names the fault.
func HostPort(addr string) error {
	if _, rest, ok := strings.Cut(addr, "://"); ok {
		rest, _, _ = strings.Cut(rest, "/")
		return fmt.Errorf("%q has a scheme, and needs host:port alone: %s", addr, rest)
	}
	_, port, err := net.SplitHostPort(addr)
	switch {
	case err != nil && isNumber(addr):
		return fmt.Errorf("%q needs host:port, 127.0.0.1:%s for example", addr, addr)
	case err != nil && strings.Contains(addr, ":"):
		return fmt.Errorf("%q needs host:port, an IPv6 address in brackets: [::1]:2300 for example", addr)
	case err != nil:
		return fmt.Errorf("%q needs host:port, %s:2300 for example", addr, addr)
	}
	if err := Port(port); err != nil {
		return fmt.Errorf("%q: %w", addr, err)
	}
	return nil
}

// Port returns an error when port is neither a port number nor possibly the name of one.
func Port(port string) error {
	if port == "" {
		return errors.New("the port is missing")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil && isNumber(port) {
		return fmt.Errorf("port %s is not between 0 and 65535", port)
	}
	return nil
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
