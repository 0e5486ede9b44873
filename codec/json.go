package codec

import "bytes"

// JSON carries one JSON document behind its length, every message text:
//
//	+----------------+-------------------+
//	| length uint32  | document          |
//	+----------------+-------------------+
//
// Big-endian; the length counts its own four bytes. A byte order mark in front
// of a document is skipped (RFC 8259 section 8.1). A document that CheckDocument
// refuses ends the stream.
type JSON struct {
	MaxMessage int // bytes of a document. Defaults to DefaultMaxMessage.
	messagesOnly
}

// Decode reads one document from the front of in.
func (j JSON) Decode(in, out []byte) (ev Event, payload []byte, n int, reply []byte, err error) {
	payload, n, err = counted(in, limit(j.MaxMessage))
	if n == 0 {
		return None, nil, 0, out, err
	}
	payload = skipMark(payload)
	if err = CheckDocument(payload); err != nil {
		return None, nil, 0, out, err
	}
	return MessageText, payload, n, out, nil
}

// Append appends payload, which must be a document even when text is false. One that CheckDocument
// refuses would make every receiver close the connection. Nothing is appended then, and dst is
// returned unchanged. Invalid UTF-8 is such a payload.
func (j JSON) Append(dst, payload []byte, text bool) []byte {
	if CheckDocument(payload) != nil {
		return dst
	}
	return appendCounted(dst, payload)
}

// Encoding is the same for every JSON.
func (j JSON) Encoding() uint8 { return encodingJSON }

// skipMark leaves out a byte order mark (U+FEFF in UTF-8) in front of a document.
func skipMark(doc []byte) []byte { return bytes.TrimPrefix(doc, []byte("\xEF\xBB\xBF")) }
