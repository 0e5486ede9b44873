package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/seed-7410fe32/sluice/internal/valid"
)

// maxKeyFile is the size of the largest key file, in bytes.
const maxKeyFile = 4 << 10

// key returns the key in --key-file, or nil if there is none.
func (o *options) key() ([]byte, error) {
	if o.keyFile == "" {
		return nil, nil
	}
	key, err := readKey(o.keyFile)
	if err != nil {
		return nil, fmt.Errorf("--key-file %s: %w", o.keyFile, err)
	}
	return key, nil
}

// readKey reads a key from a file or a pipe. White space around the key is not part of it.
func readKey(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, errors.Unwrap(err) // the caller adds the path
	}
	defer f.Close() //nolint:errcheck // it is only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, errors.New("is a directory: must be a file with the key")
	}
	key, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, err
	}
	if len(key) > maxKeyFile {
		return nil, fmt.Errorf("more than %d bytes: must be between %d and %d", maxKeyFile, valid.MinKey, maxKeyFile)
	}
	if key = bytes.TrimSpace(key); len(key) < valid.MinKey {
		return nil, fmt.Errorf("%d bytes: must be at least %d", len(key), valid.MinKey)
	}
	return key, nil
}
