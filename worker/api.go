package worker

import (
	"encoding/binary"
	"slices"

	"sluice/internal/link"
)

// API is what business code can do to clients. A Worker's acts by itself; a Client's is, while its handler runs, part of the handler's unit.
type API struct {
	w      *Worker
	origin *session // nil: a Worker's
}

// Client returns the client with the id, wherever it is.
func (a API) Client(id ClientID) *Client { return &Client{API: a, id: id} }

// Publish sends a message to the members of a group, except those named.
func (a API) Publish(group string, m Message, except ...ClientID) error {
	return a.fanout(link.TargetGroups, []string{group}, m, except)
}

// PublishGroups sends a message to the members of several groups: one copy to each client, however many of the groups it is in.
func (a API) PublishGroups(groups []string, m Message, except ...ClientID) error {
	return a.fanout(link.TargetGroups, groups, m, except)
}

// SendUID sends a message to all clients of a uid.
func (a API) SendUID(uid string, m Message, except ...ClientID) error {
	return a.fanout(link.TargetUIDs, []string{uid}, m, except)
}

// SendUIDs sends a message to all clients of several uids.
func (a API) SendUIDs(uids []string, m Message, except ...ClientID) error {
	return a.fanout(link.TargetUIDs, uids, m, except)
}

// SendClients sends a message to the clients listed; an empty list is nobody.
func (a API) SendClients(ids []ClientID, m Message) error {
	if len(ids) == 0 {
		return nil
	}
	return a.fanout(link.TargetClients, idKeys(ids), m, nil)
}

// Broadcast sends a message to every client of every gateway that a worker has let in: whose OnConnect has returned. One that OnConnect itself sends reaches its client too.
func (a API) Broadcast(m Message, except ...ClientID) error {
	err := a.fanout(link.TargetAll, nil, m, except)
	if err != nil || !a.isConnecting() || slices.Contains(except, a.origin.id) {
		return err
	}
	return a.origin.Send(m)
}

// isConnecting reports whether OnConnect of the origin runs: its gateway has yet to let it in.
func (a API) isConnecting() bool {
	s := a.origin
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unit != nil && s.connecting
}

// Dissolve takes all members out of a group.
func (a API) Dissolve(group string) error {
	if err := checkKey(group); err != nil {
		return err
	}
	return a.everywhere(&link.Frame{Type: link.Dissolve}, nil, []byte(group))
}

func (a API) fanout(target uint16, keys []string, m Message, except []ClientID) error {
	if target != link.TargetAll && len(keys) == 0 {
		return nil
	}
	if len(keys) > 0xFFFF || len(except) > 0xFFFF {
		return ErrTooBig
	}
	var room [256]byte
	head := binary.BigEndian.AppendUint16(room[:0], uint16(len(keys)))
	for _, key := range keys {
		if err := checkKey(key); err != nil {
			return err
		}
		head = link.AppendBytes(head, key)
	}
	head, err := m.appendKey(link.AppendIDs(head, except))
	if err != nil {
		return err
	}
	return a.everywhere(&link.Frame{Type: link.Publish, Flags: m.flags(), Code: target}, head, m.Data)
}

// everywhere sends a command to all gateways: as part of the call that runs for the origin, where one does, else by itself.
func (a API) everywhere(f *link.Frame, head, body []byte) error {
	if len(head)+len(body) > link.MaxMessage {
		return ErrTooBig
	}
	if s := a.origin; s != nil {
		s.mu.Lock()
		if u := s.unit; u != nil {
			f.Flags |= link.FlagFar // the origin's gateway passes it on to the others
			err := u.add(f, head, body)
			s.mu.Unlock()
			return err
		}
		s.mu.Unlock()
	}
	return a.plainEverywhere(f, head, body)
}

// plainEverywhere sends a command to each loop of each gateway, down that loop's own link: so it comes in order with what else goes there by itself.
func (a API) plainEverywhere(f *link.Frame, head, body []byte) error {
	reached := false
	for _, to := range *a.w.routes.table.Load() {
		if a.toAll(to, f, head, body) {
			reached = true
		} else {
			a.w.stats.unreached.Add(1)
		}
	}
	if !reached {
		return ErrLinkDown
	}
	return nil
}

// toAll sends a command to each loop of a gateway; those whose link is down get it by another one. It reports false when there is none that takes it.
func (a API) toAll(to route, f *link.Frame, head, body []byte) bool {
	for i, l := range to.loops {
		f.Slot = uint32(i + 1)
		if l != nil && l.plain(f, head, body) == nil {
			continue
		}
		if !slices.ContainsFunc(to.loops, func(other *gwLink) bool { return other != nil && other.plain(f, head, body) == nil }) {
			return false
		}
	}
	return len(to.loops) > 0
}

// emit sends a command about a client: as part of the call that runs for the origin, where one does, else by itself down the link of the client's loop.
func (a API) emit(id *ClientID, f *link.Frame, head, body []byte) error {
	if len(head)+len(body) > link.MaxMessage {
		return ErrTooBig
	}
	if s := a.origin; s != nil {
		s.mu.Lock()
		if u := s.unit; u != nil {
			err := a.join(u, id, f, head, body)
			s.mu.Unlock()
			return err
		}
		s.mu.Unlock()
	}
	l := a.w.routes.link(id.Gateway(), id.Loop())
	if l == nil {
		return ErrLinkDown
	}
	return l.plain(f, head, body)
}

// join makes a command about a client part of the call that runs for the origin. Called with the origin's mu.
func (a API) join(u *unit, id *ClientID, f *link.Frame, head, body []byte) error {
	gateway, own := id.Gateway(), a.origin.link
	loops := int(own.loops)
	if gateway != own.gateway {
		loops = a.w.routes.loops(gateway)
	}
	switch {
	case loops == 0:
		return ErrLinkDown
	case int(id.Loop()) >= loops: // of an earlier start of the gateway, or made up by a client: a gateway ends a link that names such a loop
		return ErrGone
	case gateway == own.gateway:
		return u.add(f, head, body)
	}
	var room [256]byte
	b := append(link.AppendHeader(room[:0], f, len(head)+len(body)), head...)
	return u.add(&link.Frame{Type: link.Relay, Slot: gateway}, b, body)
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

func idKeys(ids []ClientID) []string {
	keys := make([]string, len(ids))
	for i := range ids {
		keys[i] = string(ids[i][:])
	}
	return keys
}
