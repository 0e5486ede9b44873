package store

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"github.com/seed-7410fe32/sluice/internal/kv"
)

// Passwords are hashed with argon2id and the second set of parameters that RFC 9106 section 4
// allows to lower for less memory: those of OWASP, 19 MiB and two passes.
const (
	hashMemory = 19 << 10 // KiB
	hashPasses = 2
	hashSize   = 32
	saltSize   = 16
	maxHashing = 2 // passwords that are hashed at a time, because each takes hashMemory

	minPassword, maxPassword = 8, 128 // characters
)

// passwordLimit bounds the attempts to guess the password of a name.
var passwordLimit = Limit{Key: "password:", Burst: 5, Every: 10 * time.Second}

// hash returns the hash of a password in the usual form, or checks it against one.
func (s *people) hash(ctx context.Context, password string, salt []byte) (string, error) {
	select {
	case s.hashing <- struct{}{}:
		defer func() { <-s.hashing }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	sum := argon2.IDKey([]byte(password), salt, hashPasses, hashMemory, 1, hashSize)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=1$%s$%s", argon2.Version, hashMemory, hashPasses,
		b64.EncodeToString(salt), b64.EncodeToString(sum)), nil
}

// fits reports whether a password has the hash.
func (s *people) fits(ctx context.Context, password, hash string) (bool, error) {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 {
		return false, nil
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return false, nil //nolint:nilerr // no password has this hash
	}
	again, err := s.hash(ctx, password, salt)
	return err == nil && subtle.ConstantTimeCompare([]byte(again), []byte(hash)) == 1, err
}

// byPassword returns the owner of the name and the hash of their password, if the name is protected
// and the login has the password. It returns no owner if the login has a token of the owner, or if
// the name is not protected.
func (s *people) byPassword(ctx context.Context, l *Login, uid string, epoch int) (owner, hash string, err error) {
	err = s.view(func(t kv.Tx) error {
		p := personOf(t, string(t.Get(key(keyName, l.Keys[0]))))
		if p != nil && p.Hash != "" && (p.uid != uid || p.Epoch != epoch) && p.Keys[0] == l.Keys[0] {
			owner, hash = p.uid, p.Hash
		}
		return nil
	})
	if err != nil || owner == "" {
		return "", "", err
	}
	if l.Password == "" {
		return "", "", refuse(CodePasswordNeeded, "this name is protected: log in with its password")
	}
	if err := s.guess(ctx, l.Keys[0], l.Password, hash); err != nil {
		return "", "", err
	}
	return owner, hash, nil
}

// guess returns an error unless the password has the hash. Attempts are limited.
func (s *people) guess(ctx context.Context, name, password, hash string) error {
	limit := passwordLimit
	limit.Key += name
	if err := s.buckets.takeAll(ctx, []Limit{limit}); err != nil {
		return err
	}
	fits, err := s.fits(ctx, password, hash)
	if err == nil && !fits {
		err = refuse(CodeBadPassword, "the password is wrong")
	}
	return err
}

// setPassword sets, changes or removes the password of a person. All older tokens become void.
func (s *people) setPassword(ctx context.Context, p *SetPassword) (token string, err error) {
	if err := s.buckets.takeAll(ctx, p.Limits); err != nil {
		return "", err
	}
	if n := utf8.RuneCountInString(p.New); p.New != "" && (n < minPassword || n > maxPassword) {
		return "", refuse(CodeBadPassword, "a password must have between 8 and 128 characters")
	}
	var old person
	err = s.view(func(t kv.Tx) error {
		if who := personOf(t, p.UID); who != nil {
			old = *who
		}
		return nil
	})
	switch {
	case err != nil:
		return "", err
	case len(old.Keys) == 0:
		return "", refuse("not_found", "log in again first")
	case p.Key != "" && old.Done == p.Key: // delivered again
		return s.token(p.UID, old.Epoch, old.Keys[0]), nil
	case old.Hash != "":
		if err := s.guess(ctx, old.Keys[0], p.Old, old.Hash); err != nil {
			return "", err
		}
	}
	hash := ""
	if p.New != "" {
		salt := make([]byte, saltSize)
		_, _ = rand.Read(salt) // never fails
		if hash, err = s.hash(ctx, p.New, salt); err != nil {
			return "", err
		}
	}
	err = s.changePerson(ctx, p.UID, func(t kv.Tx, who *person) error {
		if who.Hash != old.Hash || who.owner(t) != p.UID {
			return refuse(CodeBadPassword, "the password has been changed meanwhile")
		}
		who.Hash, who.Done = hash, p.Key
		who.Epoch++
		s.touch(t, who)
		token = s.token(p.UID, who.Epoch, who.Keys[0])
		return nil
	})
	return token, err
}

// A token proves that its owner has logged in with a name: it is signed. It has the uid, which
// everybody sees, and the epoch.

// token returns the token of a person.
func (s *people) token(uid string, epoch int, name string) string {
	text := uid + "." + strconv.FormatInt(int64(epoch), 36)
	return text + "." + s.sign(text, name)
}

// identify returns what a token proves, or "".
func (s *people) identify(token, name string) (uid string, epoch int) {
	at := strings.LastIndexByte(token, '.')
	if at < 0 || !hmac.Equal([]byte(token[at+1:]), []byte(s.sign(token[:at], name))) {
		return "", 0
	}
	uid, number, _ := strings.Cut(token[:at], ".")
	n, _ := strconv.ParseInt(number, 36, 32) // signed, so it is valid
	return uid, int(n)
}

func (s *people) sign(text, name string) string { return s.mac("token\x00" + text + "\x00" + name) }

// mac returns what only this store can have made of a text.
func (b *base) mac(text string) string {
	mac := hmac.New(sha256.New, b.identity.Load().signer)
	mac.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
