// Package valid checks configurations.
package valid

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Numbers looks for a number in a struct that is negative or not finite. It returns the name of the
// first such field and what is wrong with it, or an empty name and nil. The fields named in
// mayBeNegative may be negative. Fields of structs within the struct are checked too; their names
// have a dot.
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
			return name, fmt.Errorf("%v: must be at least 0", of.Interface())
		case of.CanFloat() && (math.IsNaN(of.Float()) || math.IsInf(of.Float(), 0)):
			return name, fmt.Errorf("%v: must be a finite number", of.Interface())
		}
	}
	return "", nil
}

// HostPort returns an error for an address that is not host:port. The error says how it is written.
func HostPort(addr string) error {
	if _, rest, ok := strings.Cut(addr, "://"); ok {
		rest, _, _ = strings.Cut(rest, "/")
		return fmt.Errorf("%q: must be host:port without a scheme: %s", addr, rest)
	}
	_, port, err := net.SplitHostPort(addr)
	switch {
	case err != nil && isNumber(addr):
		return fmt.Errorf("%q: must be host:port, for example 127.0.0.1:%s", addr, addr)
	case err != nil && strings.Contains(addr, ":"):
		return fmt.Errorf("%q: must be host:port, with an IPv6 address in brackets, for example [::1]:2300", addr)
	case err != nil:
		return fmt.Errorf("%q: must be host:port, for example %s:2300", addr, addr)
	}
	if err := Port(port); err != nil {
		return fmt.Errorf("%q: %w", addr, err)
	}
	return nil
}

// Dialable returns an error for a host:port whose host is no name or address that others can
// connect to: it is empty, 0.0.0.0 or [::].
func Dialable(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return HostPort(addr)
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		return fmt.Errorf("%q: must have a host that others can connect to", addr)
	}
	return nil
}

// Port returns an error for a port that is missing or a number past 65535. A name is valid.
func Port(port string) error {
	if port == "" {
		return errors.New("the port is missing")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil && isNumber(port) {
		return fmt.Errorf("port %s: must be between 0 and 65535", port)
	}
	return nil
}

// MinKey is the length of the shortest key that gateways and workers accept, in bytes.
const MinKey = 16

// Key returns an error for a key that is too short. No key at all is valid.
func Key(key []byte) error {
	if len(key) > 0 && len(key) < MinKey {
		return fmt.Errorf("%d bytes: must be at least %d", len(key), MinKey)
	}
	return nil
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
