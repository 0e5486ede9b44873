package worker

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"sluice/internal/link"
)

// Attr returns one attribute of the client's session.
func (c *Client) Attr(key string) (value string, ok bool) {
	if c.s == nil {
		return "", false
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	for _, a := range c.s.known.attrs {
		if a.Key == key {
			return a.Value, true
		}
	}
	return "", false
}

// Attrs returns a copy of the attributes of the client's session.
func (c *Client) Attrs() map[string]string {
	if c.s == nil {
		return nil
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return attrMap(c.s.known.attrs)
}

// Version is that of the attributes: it grows with each change, and is what CompareAndSet compares.
func (c *Client) Version() uint32 {
	if c.s == nil {
		return 0
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.s.known.version
}

// SetAttrs replaces all attributes. Together they are at most 1 MiB: 16 bytes each, and the bytes of
// key and value. More is ErrTooBig, and changes nothing.
func (c *Client) SetAttrs(attrs map[string]string) error { return c.set(attrs, 0) }

// MergeAttrs changes the attributes given and leaves the others; an empty value removes its
// attribute. The bound is that of SetAttrs, for all that the client has then. It is checked by what
// this worker knows. Should another worker set attributes of the client at the same moment, or is
// the client one that this worker was not given, the gateway may refuse what is too much together:
// it counts that (gateway.LoopStats.AttrsRefused), and nothing has changed. CompareAndSet tells.
func (c *Client) MergeAttrs(attrs map[string]string) error { return c.set(attrs, link.FlagMerge) }

// CompareAndSet replaces all attributes if their version is still the one given; else it returns ErrConflict, and the client's attributes are those that
// stand at the gateway. It waits for the gateway, and in a handler overtakes what the call did before (see Deliver): after a SetAttrs of the same call it
// finds a conflict. The bound is that of SetAttrs.
func (c *Client) CompareAndSet(ctx context.Context, version uint32, attrs map[string]string) error {
	list, err := attrList(attrs)
	if err != nil {
		return err
	}
	status, answer, err := c.ask(ctx, link.Set, link.FlagCompare, appendVersioned(nil, version, list))
	if err != nil {
		return err
	}
	switch status {
	case link.OK:
		return nil // the copy has been told in front of the answer
	case link.Conflict:
		r := link.Read(answer)
		version, list := r.U32(), r.Attributes()
		if !r.Bad() && c.s != nil {
			c.s.concede(version, list)
		}
		return ErrConflict
	case link.Gone:
		return ErrGone
	}
	return fmt.Errorf("%w: %v", ErrRefused, status)
}

// appendVersioned appends a version and attributes, as a Set frame carries them.
func appendVersioned(dst []byte, version uint32, list []link.Attribute) []byte {
	return link.AppendAttributes(binary.BigEndian.AppendUint32(dst, version), list)
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
