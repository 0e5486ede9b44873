package redisdir

import (
	"context"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-7410fe32/sluice/internal/kv"
)

const (
	headField  = "head" // those of the keys begin with a k
	scanned    = 500    // fields that one exchange reads
	loads      = 3      // attempts to read everything while nobody changes anything
	chunkBytes = 256 << 10
	chunkLife  = time.Minute // of what is to replace something
)

// Kept is keys and values in Redis that one process at a time changes: a kv.Remote. They are a hash
// and stay until they are removed.
type Kept struct {
	d   *Directory
	key string
}

var _ kv.Remote = (*Kept)(nil)

// Keep returns what a directory keeps under a name.
func Keep(d *Directory, name string) *Kept {
	return &Kept{d, d.cfg.Prefix + ":kept:{" + name + "}"}
}

// Head implements kv.Remote.
func (k *Kept) Head() (head string, err error) {
	err = k.do(func(c rueidis.Client) rueidis.Completed {
		return c.B().Hget().Key(k.key).Field(headField).Build()
	}, func(r rueidis.RedisResult) (err error) {
		if head, err = r.ToString(); rueidis.IsRedisNil(err) {
			return nil
		}
		return err
	})
	return head, err
}

// Load implements kv.Remote.
func (k *Kept) Load(reset func(), put func(key, value string)) (string, error) {
	before, err := k.Head()
	for range loads {
		if err == nil {
			err = k.scan(put)
		}
		var after string
		if err == nil {
			after, err = k.Head()
		}
		switch {
		case err != nil:
			return "", err
		case after == before:
			return after, nil
		}
		before = after
		reset()
	}
	return "", kv.ErrConflict
}

// scan gives all keys and values to put, some of them more than once.
func (k *Kept) scan(put func(key, value string)) error {
	for cursor := uint64(0); ; {
		var entry rueidis.ScanEntry
		err := k.do(func(c rueidis.Client) rueidis.Completed {
			return c.B().Hscan().Key(k.key).Cursor(cursor).Count(scanned).Build()
		}, func(r rueidis.RedisResult) (err error) {
			entry, err = r.AsScanEntry()
			return err
		})
		if err != nil {
			return err
		}
		for i := 0; i+1 < len(entry.Elements); i += 2 {
			if field := entry.Elements[i]; field != headField {
				put(field[1:], entry.Elements[i+1])
			}
		}
		if cursor = entry.Cursor; cursor == 0 {
			return nil
		}
	}
}

// do runs a command and gives its answer to take.
func (k *Kept) do(build func(rueidis.Client) rueidis.Completed, take func(rueidis.RedisResult) error) error {
	s := k.d.server
	client, err := s.up()
	if err != nil {
		return err
	}
	ctx, cancel := s.bounded(s.ctx)
	defer cancel()
	s.commands.Add(1)
	if err := take(client.Do(ctx, build(client))); err != nil {
		s.errors.Add(1)
		return s.failure(err)
	}
	return nil
}

// Change implements kv.Remote.
func (k *Kept) Change(from, to string, changes map[string][]byte) error {
	return k.change(k.key, from, to, 0, changes)
}

func (k *Kept) change(key, from, to string, life time.Duration, changes map[string][]byte) error {
	list := []string{from, to, ms(life), ""}
	for name, value := range changes {
		if value == nil {
			list = append(list, "k"+name)
		}
	}
	list[3] = strconv.Itoa(len(list) - 4)
	for name, value := range changes {
		if value != nil {
			list = append(list, "k"+name, rueidis.BinaryString(value))
		}
	}
	return k.swap(to, call{change, key, list})
}

// swap runs a script that returns the head, which is to unless somebody else has changed it.
func (k *Kept) swap(to string, c call) error {
	answers, err := k.d.server.run(context.Background(), c)
	if err != nil {
		return err
	}
	switch head, err := answers[0].ToString(); {
	case err != nil:
		return errAnswer
	case head != to:
		return kv.ErrConflict
	}
	return nil
}

// Replace implements kv.Remote. It writes what replaces the hash under another key first, in
// several exchanges.
func (k *Kept) Replace(from, to string, walk func(put func(key string, value []byte))) (err error) {
	next := k.key + ":" + to
	chunk, size, head := make(map[string][]byte), 0, ""
	flush := func() {
		if err == nil {
			err = k.change(next, head, to, chunkLife, chunk)
		}
		clear(chunk)
		size, head = 0, to
	}
	walk(func(key string, value []byte) {
		chunk[key] = value
		if size += len(key) + len(value); size > chunkBytes {
			flush()
		}
	})
	if flush(); err != nil {
		return err
	}
	return k.swap(to, call{replace.with(next), k.key, []string{from}})
}
