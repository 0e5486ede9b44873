package certs

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
)

const (
	ticketKey     = 32       // bytes of a key, as package crypto/tls has them
	maxTicketKeys = 64       // keys in a file
	maxTicketFile = 64 << 10 // bytes
)

// readTicketKeys reads a file of keys of session tickets. Empty lines, and those that begin with #,
// are ignored. An error does not contain a key.
func readTicketKeys(path string) (keys [][ticketKey]byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, errors.Unwrap(err) // the caller adds the path
	}
	defer f.Close() //nolint:errcheck // it is only read
	text, err := io.ReadAll(io.LimitReader(f, maxTicketFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxTicketFile:
		return nil, fmt.Errorf("more than %d bytes", maxTicketFile)
	}
	number := 0
	for line := range bytes.Lines(text) {
		number++
		if line = bytes.TrimSpace(line); len(line) == 0 || line[0] == '#' {
			continue
		}
		var key [ticketKey]byte
		if len(line) != hex.EncodedLen(len(key)) {
			return nil, fmt.Errorf("line %d: %d characters: a key has 64 hexadecimal digits (openssl rand -hex 32)",
				number, len(line))
		}
		if _, err := hex.Decode(key[:], line); err != nil {
			return nil, fmt.Errorf("line %d: a key has hexadecimal digits only", number)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 || len(keys) > maxTicketKeys {
		return nil, fmt.Errorf("%d keys: must have between 1 and %d", len(keys), maxTicketKeys)
	}
	return keys, nil
}
