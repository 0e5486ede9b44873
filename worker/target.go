package worker

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// Target says which clients are meant: Client, Clients, Group, Groups, UID, UIDs or Everyone. It is
// a value. The zero Target is invalid; a list of none is nobody.
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

// Client is the client with the id.
func Client(id ClientID) Target { return Target{kind: targetClient, id: id} }

// Clients are the clients with the ids.
func Clients(ids ...ClientID) Target { return Target{kind: targetClients, ids: ids} }

// Group is the members of a group.
func Group(name string) Target { return Target{kind: targetGroup, name: name} }

// Groups is whoever is a member of at least one of the groups, once.
func Groups(names ...string) Target { return Target{kind: targetGroups, names: names} }

// UID is the clients that are bound to a uid.
func UID(uid string) Target { return Target{kind: targetUID, name: uid} }

// UIDs is the clients that are bound to one of the uids.
func UIDs(uids ...string) Target { return Target{kind: targetUIDs, names: uids} }

// Everyone is every client that a worker has admitted: Connect has returned.
func Everyone() Target { return Target{kind: targetEveryone} }

// Except returns the target without the clients listed.
func (t Target) Except(ids ...ClientID) Target {
	if len(t.except) > 0 {
		ids = append(slices.Clone(t.except), ids...)
	}
	t.except = ids
	return t
}

// code is the target's on a link. An error is ErrInvalid.
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

// isNobody reports whether the target is a list of none.
func (t *Target) isNobody() bool {
	switch t.kind {
	case targetClients:
		return len(t.ids) == 0
	case targetGroups, targetUIDs:
		return len(t.names) == 0
	}
	return false
}

// one returns the client that is meant, if the target is one client that is not excepted.
func (t *Target) one() (id ClientID, ok bool) {
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

// appendKeys appends the list of whom the target names, as a link carries it.
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

// appendID appends an id as one of a list of keys.
func appendID(dst []byte, id *ClientID) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(id))), id[:]...)
}

// appendExcept appends the ids of those who are not meant, as a link carries them.
func (t *Target) appendExcept(dst []byte) ([]byte, error) {
	if len(t.except) > 0xFFFF {
		return nil, ErrTooBig
	}
	return link.AppendIDs(dst, t.except), nil
}

// publish is what a PUBLISH of a message to the target carries before the message's data, and its code.
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

// checkKey refuses what cannot be a uid or a group.
func checkKey(name string) error {
	if len(name) > link.MaxKey {
		return ErrTooBig
	}
	return checkName(name)
}

// checkName refuses what cannot be an attribute's key.
func checkName(name string) error {
	switch {
	case name == "":
		return ErrEmpty
	case len(name) > 0xFFFF:
		return ErrTooBig
	}
	return nil
}
