package link

import (
	"encoding/binary"
	"iter"
)

// Header is one header field of a client's request.
type Header struct{ Name, Value string }

// SubprotocolHeader is a header field that the gateway adds to an attachment: the WebSocket
// sub-protocol that it accepted. No client can send a field of this name.
const SubprotocolHeader = ":subprotocol"

// Cause is the reason why a worker receives a client.
type Cause uint8

// These are the causes of SPEC.md.
const (
	CauseConnect  Cause = iota // the client has connected
	CauseDied                  // the link to its former worker ended, and that worker has no other link here
	CauseDrained               // its former worker drains
	CauseMoved                 // the gateway has moved it from another worker
	CauseLinkLost              // the link to this same worker ended
)

// lastCause is the largest Cause.
const lastCause = CauseLinkLost

// Attachment is the state of a client that a worker receives with it.
type Attachment struct {
	Version     uint32 // of the attributes
	UIDVersion  uint32
	Redelivered uint32 // how many of the next messages were sent on a link that ended
	Cause       Cause  // why the worker receives the client
	Remote      string // the client's address, host:port
	Listener    string // the URL of the client's listener
	UID         string // empty: not bound
	Target      string // WebSocket: the request target, path and query
	Headers     []Header
	// Request is AppendRequest of Target and Headers, if the sender has it ready. It is then used
	// instead of them. A decoded Attachment has Request and Target, and no Headers.
	Request string
	Attrs   []Attribute
}

// AppendRequest appends the part of an attachment that describes the client's request.
func AppendRequest[T string | []byte](dst []byte, target T, headers []Header) []byte {
	dst = AppendBytes(dst, target)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(headers)))
	for _, h := range headers {
		dst = AppendBytes(dst, h.Name)
		dst = AppendBytes(dst, h.Value)
	}
	return dst
}

// RequestTarget returns the target of a request that AppendRequest appended. It is empty if request
// is.
func RequestTarget(request string) string {
	if request == "" {
		return ""
	}
	target, _ := cutBytes(request)
	return target
}

// RequestHeaders iterates over the header fields of a request that AppendRequest appended. Names
// and values are views of it. A request in one piece takes no more memory than its bytes.
func RequestHeaders(request string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		if request == "" {
			return
		}
		target := RequestTarget(request)
		for rest := request[2+len(target)+2:]; rest != ""; {
			var name, value string
			name, rest = cutBytes(rest)
			value, rest = cutBytes(rest)
			if !yield(name, value) {
				return
			}
		}
	}
}

// cutBytes splits off what AppendBytes appended at the front of s.
func cutBytes(s string) (b, rest string) {
	n := 2 + (int(s[0])<<8 | int(s[1]))
	return s[2:n], s[n:]
}

// AppendAttachment appends the payload of an Attach frame.
func AppendAttachment(dst []byte, a *Attachment) []byte {
	dst = binary.BigEndian.AppendUint32(dst, a.Version)
	dst = binary.BigEndian.AppendUint32(dst, a.UIDVersion)
	dst = binary.BigEndian.AppendUint32(dst, a.Redelivered)
	dst = append(dst, byte(a.Cause))
	dst = AppendBytes(dst, a.Remote)
	dst = AppendBytes(dst, a.Listener)
	dst = AppendBytes(dst, a.UID)
	if len(a.Request) > 0 {
		dst = append(dst, a.Request...)
	} else {
		dst = AppendRequest(dst, a.Target, a.Headers)
	}
	return AppendAttributes(dst, a.Attrs)
}

// noRequest is what AppendRequest appends for a client without a request.
const noRequest = "\x00\x00\x00\x00"

// Attachment reads the payload of an Attach frame.
func (c *Cursor) Attachment() (a Attachment) {
	a.Version = c.U32()
	a.UIDVersion = c.U32()
	a.Redelivered = c.U32()
	a.Cause = Cause(c.U8())
	c.bad = c.bad || a.Cause > lastCause
	a.Remote = string(c.Bytes())
	a.Listener = string(c.Bytes())
	a.UID = string(c.Bytes())
	request := c.b
	c.Bytes() // the target
	for n := c.U16(); n > 0 && !c.bad; n-- {
		c.Bytes()
		c.Bytes()
	}
	if request = request[:len(request)-len(c.b)]; !c.bad && len(request) > len(noRequest) {
		a.Request = string(request)
		a.Target = RequestTarget(a.Request)
	}
	a.Attrs = c.Attributes()
	return a
}
