package worker

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// appendVersioned appends a version and attributes, in the format of a Set frame.
func appendVersioned(dst []byte, version uint32, list []link.Attribute) []byte {
	return link.AppendAttributes(binary.BigEndian.AppendUint32(dst, version), list)
}

// attrList checks attributes and returns them in the order of their keys.
func attrList(attrs map[string]string) ([]link.Attribute, error) {
	for k := range attrs {
		if err := checkName(k); err != nil {
			return nil, err
		}
	}
	list := inOrder(attrs)
	if link.AttributesSize(list) > link.MaxAttributes {
		return nil, ErrTooBig
	}
	return list, nil
}

func inOrder(attrs map[string]string) []link.Attribute {
	list := make([]link.Attribute, 0, len(attrs))
	for k, v := range attrs {
		list = append(list, link.Attribute{Key: k, Value: v})
	}
	slices.SortFunc(list, func(a, b link.Attribute) int { return strings.Compare(a.Key, b.Key) })
	return list
}

// merged returns the attributes that the gateway has after old were set to list or, if merge is
// true, merged with it.
func merged(old, list []link.Attribute, merge bool) []link.Attribute {
	m := attrMap(nil)
	if merge {
		m = attrMap(old)
	}
	for _, a := range list {
		if merge && a.Value == "" {
			delete(m, a.Key)
		} else {
			m[a.Key] = a.Value
		}
	}
	return inOrder(m)
}

func attrMap(list []link.Attribute) map[string]string {
	m := make(map[string]string, len(list))
	for _, a := range list {
		m[a.Key] = a.Value
	}
	return m
}
