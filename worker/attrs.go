package worker

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// versioned is a version and attributes, as a Set frame carries them.
func versioned(version uint32, list []link.Attribute) []byte {
	return link.AppendAttributes(binary.BigEndian.AppendUint32(nil, version), list)
}

// attrList checks attributes and puts them in order.
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

// merged is what the gateway makes of attributes that are set.
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
