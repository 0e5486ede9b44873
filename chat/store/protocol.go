package store

import (
	"slices"
	"strings"
	"time"
)

// Conversation identifies a room or the private talk of two people.
type Conversation string

// Room returns the conversation of a room.
func Room(name string) Conversation { return Conversation("#" + name) }

// Private returns the conversation of two people.
func Private(uid, other string) Conversation {
	both := []string{uid, other}
	slices.Sort(both)
	return Conversation("@" + strings.Join(both, " "))
}

// Room returns the name of the room. For a private talk it returns "" and false.
func (c Conversation) Room() (name string, ok bool) {
	if name, ok = strings.CutPrefix(string(c), "#"); !ok {
		return "", false
	}
	return name, true
}

// With returns the uid of the one that a person talks to. It is "" if c is a room, or a talk of
// others.
func (c Conversation) With(uid string) string {
	both, private := strings.CutPrefix(string(c), "@")
	a, b, _ := strings.Cut(both, " ")
	switch {
	case !private:
		return ""
	case a == uid:
		return b
	case b == uid:
		return a
	}
	return ""
}

// Name returns what the person calls the conversation: "#room" or "@uid of the other".
func (c Conversation) Name(uid string) string {
	if _, room := c.Room(); room {
		return string(c)
	}
	return "@" + c.With(uid)
}

// Message is a message of a conversation.
type Message struct {
	Seq       uint64     `json:"seq"` // from 1, greater by 1 for each message of the conversation
	ID        string     `json:"id"`
	Time      int64      `json:"time"` // Unix milliseconds
	UID       string     `json:"uid"`  // of the author
	Name      string     `json:"name"` // of the author when it was sent
	Text      string     `json:"text"`
	Ref       string     `json:"ref,omitempty"`
	Key       string     `json:"key,omitempty"` // of the delivery
	Reply     *Quote     `json:"reply,omitempty"`
	Edited    int64      `json:"edited,omitempty"` // when, in Unix milliseconds
	Deleted   bool       `json:"deleted,omitempty"`
	Reactions []Reaction `json:"reactions,omitempty"`
	Rev       int        `json:"rev,omitempty"` // grows by 1 with each change
}

// Quote is the message that another one replies to. It changes with the message, and is left as it
// is when the message expires.
type Quote struct {
	Seq  uint64 `json:"seq"`
	ID   string `json:"id"`
	UID  string `json:"uid"`
	Name string `json:"from"`
	Text string `json:"text"` // its beginning, or empty if it was deleted
}

// Reaction is an emoji and the people who have reacted with it.
type Reaction struct {
	Emoji string   `json:"emoji"`
	UIDs  []string `json:"uids"`
}

// Person is somebody with a uid.
type Person struct {
	UID  string `json:"uid"`
	Name string `json:"name"`
}

// Login asks for a name.
type Login struct {
	Name     string   // as it is shown
	Keys     []string // under which the name is found; the first one is the same in every spelling
	Token    string   // of an earlier login, or ""
	Password string   // or ""
	Key      string   // of the delivery: a login that is delivered again has the same effect
	Returns  bool     // the name is kept when the person has gone
	Online   []string // uids of connected clients with one of the keys
	Partial  bool     // Online lacks some: who has not gone, as far as is known, keeps the name
	Limits   []Limit
	New      []Limit // of logins that make a new person
}

// Account is what the store knows of a person who has logged in.
type Account struct {
	Person
	Token         string
	Protected     bool // by a password
	Conversations []State
	Blocked       []Person
	Generation    string // differs when all conversations were lost, and their numbers begin anew
}

// State is a conversation of a person.
type State struct {
	Conversation Conversation
	With         Person // of a private talk
	Last         uint64 // the newest message
	Read         uint64 // the newest message that was read
	Muted        bool
}

// Find asks who has a name.
type Find struct {
	Key string // of the name
}

// Gone says that the last connection of a person has ended.
type Gone struct {
	UID  string
	Quit bool // by a request: the name is free at once
}

// Member joins a room or leaves it.
type Member struct {
	UID, Room string
	Leave     bool
}

// Post adds a message.
type Post struct {
	UID, Name string
	Room      string // empty: it is private
	To        string // uid of the receiver of a private message; empty: the owner of ToKey
	ToKey     string // key of the receiver's name
	Present   bool   // the receiver is connected
	Author    string // stands for the author in limits and shares, because a person gets a new uid easily
	Text      string
	Ref       string // chosen by the client, or ""
	Key       string // of the delivery: the same when the request is delivered again
	Again     bool   // a message with the same ref may have been posted before
	Reply     uint64 // sequence number of the message that it replies to, or 0
	Limits    []Limit
}

// Posted is a message that was posted.
type Posted struct {
	Message Message
	To      Person // of a private message
	Before  bool   // it was posted before, by another request: it has been published
}

// Read asks for messages of a conversation: those after After or, if After is 0, the newest ones
// before Before. Before 0 means all.
type Read struct {
	UID           string
	Conversation  Conversation
	Before, After uint64
	Limit         int
}

// Page are consecutive messages of a conversation, the oldest first.
type Page struct {
	Conversation Conversation
	With         Person // of a private talk
	Messages     []Message
	First, Last  uint64 // the oldest and the newest message of the conversation
	Read         uint64 // the newest message that the person has read
	More         bool   // there are further messages: newer ones if After was set, else older ones
	Gap          bool   // messages after After are missing
}

// Change changes a message.
type Change struct {
	UID          string
	Conversation Conversation
	Seq          uint64
	Delete       bool   // delete it
	Text         string // edit it
	Emoji        string // react to it
	Off          bool   // take the reaction back
	Limits       []Limit
}

// Mark changes what a person has read, or whether the person wants to be notified.
type Mark struct {
	UID          string
	Conversation Conversation
	Seq          uint64 // read up to this message; 0: not changed
	Mute, Unmute bool
}

// Block blocks or unblocks somebody.
type Block struct {
	UID   string
	Other string // uid; empty: the owner of Key
	Key   string // key of the name
	Off   bool
}

// SetPassword sets, changes or removes a password.
type SetPassword struct {
	UID      string
	Old, New string
	Key      string // of the delivery
	Limits   []Limit
}

// Limit is a token bucket.
type Limit struct {
	Key   string
	Burst int           // its size, in requests
	Every time.Duration // for one more request
}

// Refusal is the error of a request that the store has understood and refuses. Nothing has changed.
type Refusal struct {
	Code string `json:"code"`
	Text string `json:"text"`
	Key  string `json:"key,omitempty"` // of the Limit, with code CodeSlowDown
}

// Error returns Text.
func (r *Refusal) Error() string { return r.Text }

// Codes of a Refusal that the store itself gives a meaning.
const (
	CodeSlowDown       = "slow_down"
	CodeNameTaken      = "name_taken"
	CodePasswordNeeded = "password_needed"
	CodeBadPassword    = "bad_password"
)

func refuse(code, text string) error { return &Refusal{Code: code, Text: text} }
