package codec

import "bytes"

// JSONLines carries one JSON document per line, every message text. Lines are those of Text. A line
// of white space alone is skipped, and may serve as a heartbeat. A byte order mark in front of a
// line is skipped (RFC 8259 section 8.1). A document that CheckDocument refuses ends the stream.
type JSONLines struct {
	MaxMessage int // bytes of a line without its end. Defaults to DefaultMaxMessage.
	messagesOnly
}

// Decode reads one line from the front of in.
func (j JSONLines) Decode(in, out []byte) (ev Event, payload []byte, n int, reply []byte, err error) {
	payload, n, err = line(in, limit(j.MaxMessage))
	if n == 0 {
		return None, nil, 0, out, err
	}
	payload = skipMark(payload)
	if blank(payload) {
		return None, nil, n, out, nil
	}
	if err = CheckDocument(payload); err != nil {
		return None, nil, 0, out, err
	}
	return MessageText, payload, n, out, nil
}

// Append appends payload as one line. It must be a document even when text is false. A line break
// inside a document can only be white space between two tokens, so it is left out. A payload that
// CheckDocument refuses is not appended, and dst is returned unchanged.
func (j JSONLines) Append(dst, payload []byte, text bool) []byte {
	if CheckDocument(payload) != nil {
		return dst
	}
	// Some readers end a line at a lone "\r" too.
	if bytes.IndexByte(payload, '\n') < 0 && bytes.IndexByte(payload, '\r') < 0 {
		dst = append(dst, payload...)
		return append(dst, '\n')
	}
	for _, c := range payload {
		if c != '\n' && c != '\r' {
			dst = append(dst, c)
		}
	}
	return append(dst, '\n')
}

// Encoding is the same for every JSONLines.
func (j JSONLines) Encoding() uint8 { return encodingJSONLines }

func blank(line []byte) bool {
	for _, c := range line {
		if c != ' ' && c != '\t' && c != '\r' {
			return false
		}
	}
	return true
}
