package worker

import (
	"encoding/binary"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// versioned is a version and attributes, as a Set frame carries them.
func versioned(version uint32, list []link.Attribute) []byte {
	return link.AppendAttributes(binary.BigEndian.AppendUint32(nil, version), list)
}

// attrList checks attributes and puts them in order.
func attrList(attrs map[string]string) ([]link.Attribute, error) {
	list := make([]link.Attribute, 0, len(attrs))
	for k, v := range attrs {
		if err := checkName(k); err != nil {
			return nil, err
		}
		list = append(list, link.Attribute{Key: k, Value: v})
	}
	list = link.ChangedAttributes(nil, list, false)
	if link.AttributesSize(list) > link.MaxAttributes {
		return nil, ErrTooBig
	}
	return list, nil
}

func attrMap(list []link.Attribute) map[string]string {
	m := make(map[string]string, len(list))
	for _, a := range list {
		m[a.Key] = a.Value
	}
	return m
}
