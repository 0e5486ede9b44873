package link

import (
	"encoding/base32"
	"encoding/binary"
	"errors"
)

// ErrClientID is returned when a text is not a client id.
var ErrClientID = errors.New("link: malformed client id")

// ClientID identifies one client for the time of its connection. It is opaque to business code. It
// contains no address, cannot be guessed and is never used again.
//
//	gateway id u32 | loop u8 | slot u24 | token u64
type ClientID [16]byte

// MaxSlots is the number of slots per loop that an id can contain.
const MaxSlots = 1 << 24

var idText = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

// MakeClientID returns the id of the session with the token in a slot of a gateway's loop.
func MakeClientID(gateway uint32, loop uint8, slot uint32, token uint64) (id ClientID) {
	binary.BigEndian.PutUint32(id[0:], gateway)
	binary.BigEndian.PutUint32(id[4:], uint32(loop)<<24|slot&0xFFFFFF)
	binary.BigEndian.PutUint64(id[8:], token)
	return id
}

// ParseClientID parses the text form of an id.
func ParseClientID(s string) (id ClientID, err error) {
	if len(s) != 26 {
		return id, ErrClientID
	}
	if _, err := idText.Decode(id[:], []byte(s)); err != nil || id.String() != s {
		return ClientID{}, ErrClientID
	}
	return id, nil
}

// Gateway returns the id of the gateway that holds the client.
func (id ClientID) Gateway() uint32 { return binary.BigEndian.Uint32(id[0:]) }

// Loop returns the gateway's loop that holds the client.
func (id ClientID) Loop() uint8 { return id[4] }

// Slot returns the client's index in the loop's table.
func (id ClientID) Slot() uint32 { return binary.BigEndian.Uint32(id[4:]) & 0xFFFFFF }

// Token returns the token that distinguishes this client from earlier clients of the slot.
func (id ClientID) Token() uint64 { return binary.BigEndian.Uint64(id[8:]) }

// IsZero reports whether the id is the zero value, which no client has.
func (id ClientID) IsZero() bool { return id == ClientID{} }

// String returns the text form: 26 characters of lower-case base32hex.
func (id ClientID) String() string { return idText.EncodeToString(id[:]) }
