package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// The shortest key that is taken, and the longest file that is read for one, in bytes.
const (
	minKey     = 16
	maxKeyFile = 4 << 10
)

// key reads the key of the inner links; nil: there is none.
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

// readKey reads a key from a file or a pipe. White space around it does not belong to it.
func readKey(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, errors.Unwrap(err) // the path has been named
	}
	defer f.Close() //nolint:errcheck // it is only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, errors.New("is a directory, a file with the key is needed")
	}
	key, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, err
	}
	if len(key) > maxKeyFile {
		return nil, fmt.Errorf("holds more than %d bytes, a key of %d to %d is needed", maxKeyFile, minKey, maxKeyFile)
	}
	if key = bytes.TrimSpace(key); len(key) < minKey {
		return nil, fmt.Errorf("holds %d bytes, at least %d are needed", len(key), minKey)
	}
	return key, nil
}
