package store

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-7410fe32/sluice/internal/kv"
)

const (
	reservedFor  = 5 * time.Minute     // how long a name is kept for somebody who has gone without quitting
	claimedFor   = 10 * time.Second    // until the gateways know a new client's name
	passwordKeep = 90 * 24 * time.Hour // how long a password is kept without a login
	maxRooms     = 20                  // of a person
	maxTalks     = 100                 // private talks of a person that are listed
	maxBlocked   = 200                 // people whom a person has blocked
)

// person is what is stored of somebody.
type person struct {
	uid     string
	Name    string            `json:"name"`
	Keys    []string          `json:"keys"`
	Epoch   int               `json:"epoch,omitempty"` // tokens of other epochs are void
	Returns bool              `json:"returns,omitempty"`
	Online  bool              `json:"online,omitempty"`  // has logged in, and has not gone as far as is known
	Left    bool              `json:"left,omitempty"`    // has quit
	Until   int64             `json:"until,omitempty"`   // the name is kept until then, in Unix milliseconds
	Done    string            `json:"done,omitempty"`    // Key of the latest login or change of the password
	Expires int64             `json:"expires,omitempty"` // the minute in which the person is forgotten
	Hash    string            `json:"hash,omitempty"`    // of the password
	Rooms   []string          `json:"rooms,omitempty"`
	Talks   []Person          `json:"talks,omitempty"` // the latest last
	Reads   map[string]uint64 `json:"reads,omitempty"` // by name of the conversation
	Muted   []string          `json:"muted,omitempty"` // names of conversations
	Blocked []string          `json:"blocked,omitempty"`
}

// personOf returns a person, or nil if the uid is not known.
func personOf(t kv.Tx, uid string) *person {
	var p person
	if uid == "" || !load(t, key(keyPerson, uid), &p) {
		return nil
	}
	p.uid = uid
	return &p
}

func (p *person) save(t kv.Tx) { save(t, key(keyPerson, p.uid), p) }

// owner returns the uid that the person's name belongs to.
func (p *person) owner(t kv.Tx) string {
	if len(p.Keys) == 0 {
		return ""
	}
	return string(t.Get(key(keyName, p.Keys[0])))
}

// comesBack reports whether the person can log in with the same uid again.
func (p *person) comesBack(t kv.Tx) bool {
	return (p.Returns || p.Hash != "") && !p.Left && p.owner(t) == p.uid
}

// freeName gives the names of the person free.
func (p *person) freeName(t kv.Tx) {
	for _, k := range p.Keys {
		if string(t.Get(key(keyName, k))) == p.uid {
			t.Delete(key(keyName, k))
		}
	}
}

// login gives a person a name. One person at a time has a name, or another one with an equal key.
func (s *people) login(ctx context.Context, l *Login) (a Account, err error) {
	if len(l.Keys) == 0 {
		return a, refuse("bad_name", "a name is needed")
	}
	if err := s.buckets.takeAll(ctx, l.Limits); err != nil {
		return a, err
	}
	if s.shared { // with which secret tokens are signed now
		if err := s.view(func(kv.Tx) error { return nil }); err != nil {
			return a, err
		}
	}
	uid, epoch := s.identify(l.Token, l.Keys[0])
	owner, hash, err := s.byPassword(ctx, l, uid, epoch)
	if err != nil {
		return a, err
	}
	var refused error
	err = s.update(ctx, func(t kv.Tx) error {
		me := ""
		if p := personOf(t, uid); uid != "" && (p == nil || p.Epoch == epoch) {
			me = uid
		}
		if p := personOf(t, owner); p != nil && p.Hash == hash {
			me = owner
		}
		if p := personOf(t, string(t.Get(key(keyName, l.Keys[0])))); p != nil && p.Done == l.Key && l.Key != "" {
			me = p.uid // the first delivery has made this person
		}
		if refused = takeName(t, l, me); refused != nil {
			return nil
		}
		if personOf(t, me) == nil {
			refused = s.buckets.takeAll(ctx, l.New)
		}
		if refused == nil {
			a = s.enter(t, l, me)
		}
		return nil
	})
	if err == nil {
		err = refused
	}
	return a, err
}

// takeName takes the name from those who have lost it, or returns a Refusal.
func takeName(t kv.Tx, l *Login, me string) error {
	for _, uid := range l.Online {
		if uid != me {
			return refuse(CodeNameTaken, "this name, or one like it, is in use")
		}
	}
	var owners []*person
	for _, k := range l.Keys {
		if p := personOf(t, string(t.Get(key(keyName, k)))); p != nil && p.uid != me {
			owners = append(owners, p)
		}
	}
	for _, p := range owners {
		if l.Partial && p.Online {
			return refuse(CodeNameTaken, "this name, or one like it, may be in use")
		}
		if p.Hash != "" {
			return refuse(CodeNameTaken, "this name, or one like it, is protected by a password")
		}
		if p.Online && p.Returns && now() >= p.Until {
			// The end of the connection has not been reported, or will be soon.
			p.Online, p.Until = false, now()+reservedFor.Milliseconds()
			p.save(t)
		}
		if now() < p.Until {
			return refuse(CodeNameTaken, "this name, or one like it, is kept for somebody who was here minutes ago")
		}
	}
	for _, p := range owners {
		p.freeName(t)
	}
	return nil
}

// enter stores that a person has the name. Without a uid it is a new person.
func (s *people) enter(t kv.Tx, l *Login, uid string) (a Account) {
	p := personOf(t, uid)
	if p == nil {
		if uid == "" {
			uid = newUID()
		}
		p = &person{uid: uid}
		s.countPerson(t, uid)
	}
	if !slices.Contains(l.Online, uid) {
		p.Name, p.Returns, p.Until = l.Name, l.Returns, now()+claimedFor.Milliseconds()
	}
	p.Returns = p.Returns || l.Returns
	if p.Returns {
		p.Until = now() + reservedFor.Milliseconds()
	}
	p.Keys, p.Done, p.Online, p.Left = l.Keys, l.Key, true, false
	for _, k := range p.Keys {
		t.Put(key(keyName, k), []byte(uid))
	}
	s.touch(t, p)
	p.save(t)
	a = Account{Person: Person{uid, p.Name}, Token: s.token(uid, p.Epoch, p.Keys[0]), Protected: p.Hash != ""}
	for _, room := range p.Rooms {
		a.Conversations = append(a.Conversations, p.state(t, Room(room), Person{}))
	}
	for _, other := range slices.Backward(p.Talks) {
		a.Conversations = append(a.Conversations, p.state(t, Private(uid, other.UID), other))
	}
	a.Blocked, a.Generation = peopleOf(t, p.Blocked), s.identity.Load().generation
	return a
}

// state returns what the person knows of a conversation.
func (p *person) state(t kv.Tx, c Conversation, with Person) State {
	var have meta
	load(t, key(keyConversation, string(c)), &have)
	name := c.Name(p.uid)
	return State{c, with, have.Last, p.Reads[name], slices.Contains(p.Muted, name)}
}

// peopleOf returns the people with the uids.
func peopleOf(t kv.Tx, uids []string) []Person {
	list := make([]Person, len(uids))
	for i, uid := range uids {
		list[i].UID = uid
		if p := personOf(t, uid); p != nil {
			list[i].Name = p.Name
		}
	}
	return list
}

// newUID returns the uid of a new person. It begins with the time.
func newUID() string {
	return fmt.Sprintf("%011x", now()) + strings.ToLower(rand.Text()[:13])
}

// touch moves the time at which the person is forgotten.
func (s *people) touch(t kv.Tx, p *person) {
	keep := s.cfg.MaxAge
	if p.Hash != "" {
		keep = max(keep, passwordKeep)
	}
	if expires := (now() + keep.Milliseconds()) / minute; expires != p.Expires {
		t.Delete(timeKey(keyExpires, p.Expires, p.uid))
		t.Put(timeKey(keyExpires, expires, p.uid), nil)
		p.Expires = expires
	}
}

// countPerson counts a new person, and forgets others if there are too many.
func (s *people) countPerson(t kv.Tx, uid string) {
	var all sums
	load(t, []byte{keySums}, &all)
	all.People++
	save(t, []byte{keySums}, all)
	excess := all.People - s.cfg.MaxPeople
	kv.Within(t, []byte{keyExpires}, sweepBatch, func(k, _ []byte) bool {
		if excess <= 0 {
			return false
		}
		if _, other := timed(k); other != uid {
			forget(t, other)
			s.evictedPeople.Add(1)
			excess--
		}
		return true
	})
}

// find returns who has a name.
func (s *people) find(_ context.Context, f *Find) (who Person, err error) {
	err = s.view(func(t kv.Tx) error {
		who.UID = string(t.Get(key(keyName, f.Key)))
		p := personOf(t, who.UID)
		if p == nil {
			return refuse("not_found", "nobody has this name")
		}
		who.Name = p.Name
		return nil
	})
	return who, err
}

// gone notes that the last connection of a person has ended.
func (s *people) gone(ctx context.Context, g *Gone) (none struct{}, err error) {
	return none, s.changePerson(ctx, g.UID, func(t kv.Tx, p *person) error {
		p.Online = false
		switch {
		case p.Hash != "":
		case g.Quit:
			p.Left, p.Until = true, 0
			p.freeName(t)
		case p.Returns:
			p.Until = now() + reservedFor.Milliseconds()
		default:
			p.Until = 0
			p.freeName(t)
		}
		s.touch(t, p)
		return nil
	})
}

// changePerson changes a person. It does nothing if the uid is not known.
func (s *people) changePerson(ctx context.Context, uid string, f func(kv.Tx, *person) error) error {
	return s.update(ctx, func(t kv.Tx) error {
		p := personOf(t, uid)
		if p == nil {
			return nil
		}
		if err := f(t, p); err != nil {
			return err
		}
		p.save(t)
		return nil
	})
}

// member adds a room to those of a person, or removes it.
func (s *people) member(ctx context.Context, m *Member) (none struct{}, err error) {
	return none, s.changePerson(ctx, m.UID, func(_ kv.Tx, p *person) error {
		i := slices.Index(p.Rooms, m.Room)
		switch {
		case m.Leave:
			if i >= 0 {
				p.Rooms = slices.Delete(p.Rooms, i, i+1)
			}
			p.forgetConversation(string(Room(m.Room)))
		case i >= 0:
		case len(p.Rooms) >= maxRooms:
			return refuse("too_many_rooms", fmt.Sprintf("at most %d rooms: leave a room first", maxRooms))
		default:
			p.Rooms = append(p.Rooms, m.Room)
		}
		return nil
	})
}

// forgetConversation removes what the person has read and muted.
func (p *person) forgetConversation(name string) {
	delete(p.Reads, name)
	p.Muted = slices.DeleteFunc(p.Muted, func(muted string) bool { return muted == name })
}

// talked lists a private talk of a person as the latest one.
func talked(t kv.Tx, uid string, other Person) {
	p := personOf(t, uid)
	if p == nil || len(p.Talks) > 0 && p.Talks[len(p.Talks)-1] == other {
		return
	}
	p.Talks = append(slices.DeleteFunc(p.Talks, func(old Person) bool { return old.UID == other.UID }), other)
	if len(p.Talks) > maxTalks {
		p.forgetConversation("@" + p.Talks[0].UID)
		p.Talks = slices.Delete(p.Talks, 0, 1)
	}
	p.save(t)
}

// mark notes what a person has read, and whether the person wants to be notified.
func (s *people) mark(ctx context.Context, m *Mark) (none struct{}, err error) {
	return none, s.changePerson(ctx, m.UID, func(t kv.Tx, p *person) error {
		name := m.Conversation.Name(m.UID)
		room, isRoom := m.Conversation.Room()
		with := m.Conversation.With(m.UID)
		if isRoom && !slices.Contains(p.Rooms, room) ||
			!isRoom && !slices.ContainsFunc(p.Talks, func(other Person) bool { return other.UID == with }) {
			return refuse("not_found", "you have no such conversation")
		}
		var have meta
		load(t, key(keyConversation, string(m.Conversation)), &have)
		if p.Reads == nil {
			p.Reads = make(map[string]uint64)
		}
		p.Reads[name] = max(p.Reads[name], min(m.Seq, have.Last))
		muted := slices.Contains(p.Muted, name)
		switch {
		case m.Mute && !muted:
			p.Muted = append(p.Muted, name)
		case m.Unmute:
			p.Muted = slices.DeleteFunc(p.Muted, func(other string) bool { return other == name })
		}
		return nil
	})
}

// block blocks or unblocks somebody, and returns all who are blocked.
func (s *people) block(ctx context.Context, b *Block) (all []Person, err error) {
	err = s.changePerson(ctx, b.UID, func(t kv.Tx, p *person) error {
		other := b.Other
		if other == "" {
			other = string(t.Get(key(keyName, b.Key)))
		}
		p.Blocked = slices.DeleteFunc(p.Blocked, func(uid string) bool { return uid == other })
		switch {
		case b.Off:
		case personOf(t, other) == nil:
			return refuse("not_found", "nobody has this name")
		case other == b.UID:
			return refuse("not_found", "this is your own name")
		case len(p.Blocked) >= maxBlocked:
			return refuse("too_many", fmt.Sprintf("at most %d people can be blocked", maxBlocked))
		default:
			p.Blocked = append(p.Blocked, other)
		}
		all = peopleOf(t, p.Blocked)
		return nil
	})
	return all, err
}
