package worker

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// Target selects clients. The functions Client, Clients, Group, Groups, UID, UIDs and Everyone make
// one. It is a value. The zero Target is invalid; an empty list selects no client.
type Target struct {
	kind   targetKind
	name   string     // one group or uid
	names  []string   // several; bound: none, the caller's
	id     ClientID   // one client
	ids    []ClientID // several; bound: none, the caller's
	except []ClientID // bound: none, the caller's
}

type targetKind uint8

const (
	targetNone targetKind = iota
	targetClient
	targetClients
	targetGroup
	targetGroups
	targetUID
	targetUIDs
	targetEveryone
)

// Client selects one client.
func Client(id ClientID) Target { return Target{kind: targetClient, id: id} }

// Clients selects the clients with the given ids.
func Clients(ids ...ClientID) Target { return Target{kind: targetClients, ids: ids} }

// Group selects the members of a group.
func Group(name string) Target { return Target{kind: targetGroup, name: name} }

// Groups selects the members of at least one of the groups, each once.
func Groups(names ...string) Target { return Target{kind: targetGroups, names: names} }

// UID selects the clients that are bound to the uid.
func UID(uid string) Target { return Target{kind: targetUID, name: uid} }

// UIDs selects the clients that are bound to one of the uids, each once.
func UIDs(uids ...string) Target { return Target{kind: targetUIDs, names: uids} }

// Everyone selects all clients that a worker has admitted, that is, whose Connect has returned nil.
func Everyone() Target { return Target{kind: targetEveryone} }

// Except returns the target without the given clients.
func (t Target) Except(ids ...ClientID) Target {
	if len(t.except) > 0 {
		ids = append(slices.Clone(t.except), ids...)
	}
	t.except = ids
	return t
}

// code returns the target's code on a link. The error wraps ErrInvalid.
func (t *Target) code() (uint16, error) {
	switch t.kind {
	case targetClient, targetClients:
		return link.TargetClients, nil
	case targetGroup, targetGroups:
		return link.TargetGroups, nil
	case targetUID, targetUIDs:
		return link.TargetUIDs, nil
	case targetEveryone:
		return link.TargetAll, nil
	}
	return 0, fmt.Errorf("%w: the zero Target", ErrInvalid)
}

// isEmpty reports whether the target is an empty list.
func (t *Target) isEmpty() bool {
	switch t.kind {
	case targetClients:
		return len(t.ids) == 0
	case targetGroups, targetUIDs:
		return len(t.names) == 0
	}
	return false
}

// single returns the client of a target that is exactly one client, if Except does not exclude it.
func (t *Target) single() (id ClientID, ok bool) {
	switch {
	case t.kind == targetClient:
		id = t.id
	case t.kind == targetClients && len(t.ids) == 1:
		id = t.ids[0]
	default:
		return id, false
	}
	return id, !slices.Contains(t.except, id)
}

// gateways returns the gateways of the target's clients, sorted.
func (t *Target) gateways() []uint32 {
	if t.kind == targetClient {
		return []uint32{t.id.gateway()}
	}
	list := make([]uint32, len(t.ids))
	for i := range t.ids {
		list[i] = t.ids[i].gateway()
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// appendKeys appends the ids or names of the target, as a link carries them.
func (t *Target) appendKeys(dst []byte) ([]byte, error) {
	if len(t.names) > 0xFFFF || len(t.ids) > 0xFFFF {
		return nil, ErrTooBig
	}
	switch t.kind {
	case targetGroup, targetUID:
		if err := checkKey(t.name); err != nil {
			return nil, err
		}
		return link.AppendBytes(binary.BigEndian.AppendUint16(dst, 1), t.name), nil
	case targetGroups, targetUIDs:
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(t.names)))
		for _, name := range t.names {
			if err := checkKey(name); err != nil {
				return nil, err
			}
			dst = link.AppendBytes(dst, name)
		}
		return dst, nil
	case targetClient:
		return appendID(binary.BigEndian.AppendUint16(dst, 1), &t.id), nil
	case targetClients:
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(t.ids)))
		for i := range t.ids {
			dst = appendID(dst, &t.ids[i])
		}
		return dst, nil
	}
	return binary.BigEndian.AppendUint16(dst, 0), nil
}

// appendID appends an id as an element of a list of keys.
func appendID(dst []byte, id *ClientID) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(id))), id[:]...)
}

// appendExcept appends the excluded ids, as a link carries them.
func (t *Target) appendExcept(dst []byte) ([]byte, error) {
	if len(t.except) > 0xFFFF {
		return nil, ErrTooBig
	}
	return link.AppendIDs(dst, t.except), nil
}

// publish returns the code of a PUBLISH to the target and appends to dst what precedes the
// message's data.
func (t *Target) publish(dst []byte, m *Message) (code uint16, head []byte, err error) {
	if code, err = t.code(); err == nil {
		head, err = t.appendKeys(dst)
	}
	if err == nil {
		head, err = t.appendExcept(head)
	}
	if err == nil {
		head, err = m.appendKey(head)
	}
	return code, head, err
}

// checkKey returns an error if name cannot be a uid or a group.
func checkKey(name string) error {
	if len(name) > link.MaxKey {
		return ErrTooBig
	}
	return checkName(name)
}

// checkName returns an error if name cannot be the key of an attribute.
func checkName(name string) error {
	switch {
	case name == "":
		return ErrEmpty
	case len(name) > 0xFFFF:
		return ErrTooBig
	}
	return nil
}
