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
	"slices"
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

// token is the hash of a token, which all have the same length, and who sends it.
type token struct {
	hash   [sha256.Size]byte
	caller caller
}

// tokens are the tokens of a file. It is read again when it has changed. A file that cannot be used
// leaves the old tokens valid.
type tokens struct {
	// Static.
	path        string
	publishRate int // Config.PublishRate
	log         *slog.Logger

	mu      sync.Mutex
	all     []token   // guarded by mu; bound: none, maxTokens
	checked time.Time // guarded by mu: when the file was last looked at
	stamp   string    // guarded by mu: size and time of the file that was read
}

// readTokens reads the tokens of a file.
func readTokens(path string, publishRate int, log *slog.Logger) (*tokens, error) {
	t := &tokens{path: path, publishRate: publishRate, log: log}
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
	lines, err := readLines(f)
	if err != nil {
		return fmt.Errorf("%s: %w", t.path, err)
	}
	old := t.all
	t.all = nil
	for _, l := range lines {
		if len(l.token) < shortToken {
			t.log.Warn("admin token is short: use at least 16 random characters", "file", t.path, "line", l.number)
		}
		next := token{sha256.Sum256([]byte(l.token)), caller{l.name, l.grant, nil}}
		if i := slices.IndexFunc(old, func(o token) bool { return o.hash == next.hash }); i >= 0 {
			next.caller.usage = old[i].caller.usage
		} else {
			next.caller.usage = newUsage(t.publishRate)
		}
		t.all = append(t.all, next)
	}
	return nil
}

// FirstToken returns the first token of a file, which clients send. The error says why New would
// refuse the file; it does not name it.
func FirstToken(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", errors.Unwrap(err)
	}
	defer f.Close() //nolint:errcheck // it is only read
	lines, err := readLines(f)
	if err != nil {
		return "", err
	}
	return lines[0].token, nil
}

func stampOf(info os.FileInfo) string {
	return fmt.Sprint(info.Size(), info.ModTime().String(), info.Mode())
}

// tokenLine is a token in a file.
type tokenLine struct {
	name, token string
	grant       grant
	number      int // of the line, from 1
}

// readLines reads lines of TOKEN, NAME TOKEN or NAME TOKEN SCOPE[,SCOPE...], at least one. Empty
// lines and those that begin with # are skipped.
func readLines(r io.Reader) (all []tokenLine, err error) {
	text, err := io.ReadAll(io.LimitReader(r, maxTokenFile+1))
	if err != nil {
		return nil, err
	}
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
		l, err := readLine(words)
		if err == nil && slices.ContainsFunc(all, func(o tokenLine) bool { return o.token == l.token }) {
			err = errors.New("the token of an earlier line")
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		l.number = n
		all = append(all, l)
	}
	switch {
	case len(all) == 0:
		return nil, errors.New("has no token")
	case len(all) > maxTokens:
		return nil, fmt.Errorf("%d tokens: must be at most %d", len(all), maxTokens)
	}
	return all, nil
}

// readLine reads the words of a line. A token without a name has the name "token", and a token
// without scopes may be used for everything.
func readLine(words []string) (l tokenLine, err error) {
	l = tokenLine{name: "token", grant: full()}
	switch len(words) {
	case 1:
		l.token = words[0]
	case 2:
		l.name, l.token = words[0], words[1]
		// Such a token would be one for everything that everybody guesses.
		if _, err := readGrant(l.token); err == nil {
			return l, fmt.Errorf("%s is a scope: a token with scopes needs a name before it", l.token)
		}
	case 3:
		l.name, l.token = words[0], words[1]
		if l.grant, err = readGrant(words[2]); err != nil {
			return l, err
		}
	default:
		return l, fmt.Errorf("%d words: must be TOKEN, NAME TOKEN or NAME TOKEN SCOPE[,SCOPE...]", len(words))
	}
	if strings.ContainsFunc(l.token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return l, errors.New("a token must be of printable ASCII characters")
	}
	return l, nil
}

// find returns the caller that sends a token, or false if it is not valid.
func (t *tokens) find(given string) (c caller, ok bool) {
	return t.byHash(sha256.Sum256([]byte(given)))
}

// byHash returns the caller whose token has the hash, or false if there is none. It takes the same
// time for each hash that is not there.
func (t *tokens) byHash(hash [sha256.Size]byte) (c caller, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.recheck()
	for i := range t.all {
		if subtle.ConstantTimeCompare(hash[:], t.all[i].hash[:]) == 1 {
			c, ok = t.all[i].caller, true
		}
	}
	return c, ok
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
