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
	return s.unit != nil && s.event == eventConnect
}

// Dissolve takes all members out of a group.
func (a API) Dissolve(group string) error {
	if err := checkName(group); err != nil {
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
		if err := checkName(key); err != nil {
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

// everywhere sends a command once to each gateway: to the one that the origin belongs to as part of its unit.
func (a API) everywhere(f *link.Frame, head, body []byte) error {
	if len(head)+len(body) > link.MaxMessage {
		return ErrTooBig
	}
	err := ErrLinkDown // unless one gateway is there
	for id := range *a.w.routes.table.Load() {
		var e error
		if a.origin != nil && id == a.origin.link.gateway {
			e = a.emit(id, a.origin.link.loop, f, head, body)
		} else if e = a.abroad(id, a.w.routes.any(id), f, head, body); e == ErrLinkDown {
			a.w.stats.unreached.Add(1)
			continue
		}
		if e != nil {
			return e
		}
		err = nil
	}
	return err
}

// emit sends a command to a gateway: into the unit of the call that runs for the origin, where there is one and it is the origin's gateway, else by itself
// down the link of the loop given.
func (a API) emit(gateway uint32, loop uint8, f *link.Frame, head, body []byte) error {
	if len(head)+len(body) > link.MaxMessage {
		return ErrTooBig
	}
	if s := a.origin; s != nil && s.link.gateway == gateway {
		s.mu.Lock()
		if u := s.unit; u != nil {
			err := u.add(f, head, body)
			s.mu.Unlock()
			return err
		}
		s.mu.Unlock()
	}
	return a.abroad(gateway, a.w.routes.link(gateway, loop), f, head, body)
}

// abroad sends a command by itself: down the link given, where it is not nil, or from the call that runs for a client of another gateway as one that is carried out
// once, however often the call's event is delivered and whatever becomes of links.
func (a API) abroad(gateway uint32, l *gwLink, f *link.Frame, head, body []byte) error {
	if s := a.origin; s != nil && s.link.gateway != gateway {
		s.mu.Lock()
		called, event, index := s.unit != nil, s.event, s.index
		s.index++
		s.mu.Unlock()
		if called {
			return a.once(gateway, event, index, f, head, body)
		}
	}
	if l == nil {
		return ErrLinkDown
	}
	return l.plain(f, head, body)
}

// once sends what the call for the origin's event does at another gateway, by the outbox of the loop there that remembers.
func (a API) once(gateway, event uint32, index uint16, f *link.Frame, head, body []byte) error {
	s := a.origin
	if index == 0xFFFF {
		return ErrUnitTooLarge
	}
	box := a.w.routes.home(gateway, s.token)
	if box == nil {
		return ErrLinkDown
	}
	b := make([]byte, 0, 4+link.HeaderSize+len(head))
	b = binary.BigEndian.AppendUint32(b, s.link.gateway)
	b = append(link.AppendHeader(b, f, len(head)+len(body)), head...)
	l, err := box.send(&link.Frame{Type: link.Once, ID: event, Code: index, Slot: uint32(s.link.loop)<<24 | s.slot, Token: s.token}, b, body)
	if l == nil {
		return err
	}
	s.mu.Lock()
	if u := s.unit; u != nil {
		u.goesTo(l)
	}
	s.mu.Unlock()
	return nil
}

// checkName refuses what cannot be a uid, group or attribute key.
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
