package admin

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	maxTokenFile = 64 << 10    // bytes
	maxTokens    = 100         // tokens of a file
	shortToken   = 16          // a token with fewer bytes is accepted with a warning
	tokenRecheck = time.Second // how often the file is looked at, at most
)

// token is the hash of a token, which all have the same length, and its name for the audit log.
type token struct {
	name string
	hash [sha256.Size]byte
}

// tokens are the tokens of a file. It is read again when it has changed. A file that cannot be used
// leaves the old tokens valid.
type tokens struct {
	// Static.
	path string
	log  *slog.Logger

	mu      sync.Mutex
	all     []token   // guarded by mu; bound: none, maxTokens
	checked time.Time // guarded by mu: when the file was last looked at
	stamp   string    // guarded by mu: size and time of the file that was read
}

// readTokens reads the tokens of a file.
func readTokens(path string, log *slog.Logger) (*tokens, error) {
	t := &tokens{path: path, log: log}
	if err := t.reload(); err != nil {
		return nil, err
	}
	return t, nil
}

// reload reads the file. mu must be held, or the tokens not be shared yet.
func (t *tokens) reload() error {
	f, err := os.Open(t.path)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // it is only read
	info, err := f.Stat()
	if err != nil {
		return err
	}
	t.stamp = stampOf(info)
	text, err := io.ReadAll(io.LimitReader(f, maxTokenFile+1))
	if err != nil {
		return err
	}
	all, err := parseTokens(text)
	if err != nil {
		return fmt.Errorf("%s: %w", t.path, err)
	}
	for _, short := range shortOnes(text) {
		t.log.Warn("admin token is short: use at least 16 random characters", "file", t.path, "line", short)
	}
	t.all = all
	return nil
}

func stampOf(info os.FileInfo) string {
	return fmt.Sprint(info.Size(), info.ModTime().String(), info.Mode())
}

// parseTokens reads lines of TOKEN or NAME TOKEN. Empty lines and those that begin with # are
// skipped. A token without a name has the name "token".
func parseTokens(text []byte) (all []token, err error) {
	if len(text) > maxTokenFile {
		return nil, fmt.Errorf("more than %d bytes", maxTokenFile)
	}
	n := 0
	for line := range bytes.Lines(text) {
		n++
		words := strings.Fields(string(line))
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if len(words) > 2 {
			return nil, fmt.Errorf("line %d: %d words: must be TOKEN or NAME TOKEN", n, len(words))
		}
		name := "token"
		if len(words) == 2 {
			name = words[0]
		}
		all = append(all, token{name, sha256.Sum256([]byte(words[len(words)-1]))})
	}
	switch {
	case len(all) == 0:
		return nil, errors.New("has no token")
	case len(all) > maxTokens:
		return nil, fmt.Errorf("%d tokens: must be at most %d", len(all), maxTokens)
	}
	return all, nil
}

// shortOnes returns the numbers of the lines with a short token.
func shortOnes(text []byte) (lines []int) {
	n := 0
	for line := range bytes.Lines(text) {
		n++
		words := strings.Fields(string(line))
		if len(words) > 0 && !strings.HasPrefix(words[0], "#") && len(words[len(words)-1]) < shortToken {
			lines = append(lines, n)
		}
	}
	return lines
}

// name returns the name of a token, or false if it is not valid. It takes the same time for each
// token that is not valid.
func (t *tokens) name(given string) (name string, ok bool) {
	hash := sha256.Sum256([]byte(given))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.recheck()
	for i := range t.all {
		if subtle.ConstantTimeCompare(hash[:], t.all[i].hash[:]) == 1 {
			name, ok = t.all[i].name, true
		}
	}
	return name, ok
}

// recheck reads the file again if it has changed. mu must be held.
func (t *tokens) recheck() {
	if time.Since(t.checked) < tokenRecheck {
		return
	}
	t.checked = time.Now()
	info, err := os.Stat(t.path)
	if err == nil && stampOf(info) == t.stamp {
		return
	}
	if err == nil {
		err = t.reload()
	}
	if err != nil {
		t.log.Error("admin token file cannot be used: the old tokens stay valid", "file", t.path, "err", err)
		return
	}
	t.log.Info("admin tokens read again", "file", t.path, "tokens", len(t.all))
}
