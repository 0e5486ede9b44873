package store

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	"github.com/seed-7410fe32/sluice/internal/kv"
)

// The keys of the store begin with one of these bytes. Integers in them are big-endian, so that the
// keys have their order.
const (
	keyConversation = 'c' // conversation: meta
	keyMessage      = 'm' // conversation, 0, number: author and message, see packed
	keyShare        = 'a' // conversation, 0, author: share
	keyRef          = 'r' // uid, 0, ref: reference
	keyTouched      = 't' // minute, conversation: nothing
	keyPerson       = 'u' // uid: person
	keyExpires      = 'e' // minute, uid: nothing
	keyName         = 'n' // key of a name: uid
	keySums         = 'z' // sums
	keyVersion      = 'v' // version
	keySecret       = 'k' // the key that signs tokens
	keyGeneration   = 'g' // see Account
)

// version is the version of what is stored. A Store does not open another one.
const version = "1"

func key(kind byte, name string) []byte { return append([]byte{kind}, name...) }

func messageKey(c Conversation, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append(key(keyMessage, string(c)), 0), seq)
}

// seqOf returns the number in the key of a message of c. ok is false for another key.
func seqOf(c Conversation, k []byte) (seq uint64, ok bool) {
	prefix := append(key(keyMessage, string(c)), 0)
	if len(k) != len(prefix)+8 || string(k[:len(prefix)]) != string(prefix) {
		return 0, false
	}
	return binary.BigEndian.Uint64(k[len(prefix):]), true
}

func pairKey(kind byte, a, b string) []byte { return append(append(key(kind, a), 0), b...) }

func timeKey(kind byte, minute int64, name string) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{kind}, uint64(minute)), name...)
}

// timed returns what timeKey was made of.
func timed(k []byte) (minute int64, name string) {
	return int64(binary.BigEndian.Uint64(k[1:])), string(k[9:])
}

// meta is what is stored of a conversation besides its messages.
type meta struct {
	Last    uint64 `json:"last"` // number of the newest message
	Count   int    `json:"n"`
	Bytes   int    `json:"b"` // of the stored messages
	Oldest  int64  `json:"o"` // time of the oldest one, in Unix milliseconds
	Touched int64  `json:"t"` // minute of the newest one
}

// share is what one author has in a conversation.
type share struct {
	Count int `json:"n"`
	Bytes int `json:"b"`
}

// reference says which message a ref has become.
type reference struct {
	Conversation Conversation `json:"c"`
	Seq          uint64       `json:"s"`
	Key          string       `json:"k"`
}

// sums are over all conversations and people.
type sums struct {
	Conversations int `json:"c"`
	Messages      int `json:"m"`
	Bytes         int `json:"b"`
	People        int `json:"p"`
}

// load reads a value. It reports whether there is one.
func load(t kv.Tx, k []byte, v any) bool {
	b := t.Get(k)
	if b == nil {
		return false
	}
	if err := json.Unmarshal(b, v); err != nil {
		panic(fmt.Sprintf("the value of %q: %v", k, err)) // the file is damaged
	}
	return true
}

func save(t kv.Tx, k []byte, v any) { t.Put(k, encode(v)) }

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil { // impossible: all that is stored can be encoded
		panic(err)
	}
	return b
}

// packed returns what is stored of a message: a byte with the length of the author, the author, and
// the message.
func packed(author string, m *Message) []byte {
	author = author[:min(len(author), 255)]
	return append(append([]byte{byte(len(author))}, author...), encode(m)...)
}

// authorOf returns the author of a stored message.
func authorOf(b []byte) string { return string(b[1 : 1+int(b[0])]) }

// unpack reads a stored message.
func unpack(b []byte) (m Message) {
	if err := json.Unmarshal(b[1+int(b[0]):], &m); err != nil {
		panic(fmt.Sprintf("a message: %v", err)) // the file is damaged
	}
	return m
}
