package redisstore

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/redis/rueidis"

	"github.com/seed-7410fe32/sluice/worker/store"
)

const (
	form     = 1     // the first byte of a value, in this form
	headSize = 1 + 8 // with the version
)

// head returns what a value with the version begins with.
func head(v store.Version) string {
	return string(binary.BigEndian.AppendUint64([]byte{form}, uint64(v)))
}

// encode returns a value with a new version.
func encode(value []byte) string {
	b := make([]byte, 0, headSize+len(value))
	b = binary.BigEndian.AppendUint64(append(b, form), max(1, rand.Uint64()))
	return rueidis.BinaryString(append(b, value...))
}

// entry is what a key has: nothing, with the version 0, or a value.
type entry struct {
	value   []byte
	version store.Version
}

// read returns what the answer to GET says.
func (s *Store) read(answer rueidis.RedisResult) (entry, error) {
	b, err := answer.AsBytes()
	switch {
	case rueidis.IsRedisNil(err):
		return entry{}, nil
	case err != nil:
		return entry{}, s.translate(err)
	case len(b) < headSize || b[0] != form:
		return entry{}, store.ErrForeign
	}
	return entry{b[headSize:len(b):len(b)], store.Version(binary.BigEndian.Uint64(b[1:]))}, nil
}

// scripts compare and change one key, as one step.
type scripts struct{ set, remove, add *rueidis.Lua }

// notMine is a result of the script add, for a value of another program. -1 means that it is no
// counter.
const notMine = -2

func newScripts() scripts {
	return scripts{
		// Arguments: the head that the value must have; the new value; its time in milliseconds.
		set: rueidis.NewLuaScript(`
			if redis.call('GETRANGE', KEYS[1], 0, 8) ~= ARGV[1] then return 0 end
			redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
			return 1`),
		// Argument: the head that the value must have.
		remove: rueidis.NewLuaScript(`
			if redis.call('GETRANGE', KEYS[1], 0, 8) ~= ARGV[1] then return 0 end
			return redis.call('DEL', KEYS[1])`),
		// Arguments: the head of the new value; what to add; the time of a new counter.
		add: rueidis.NewLuaScript(`
			local n, value = tonumber(ARGV[2]), redis.call('GET', KEYS[1])
			if value then
				if #value < 9 or string.byte(value) ~= 1 then return -2 end
				local digits = string.sub(value, 10)
				if #digits > 16 or not string.find(digits, '^%d+$') then return -1 end
				n = n + tonumber(digits)
				if n > 9007199254740991 then return -1 end
			end
			local written = ARGV[1] .. string.format('%.0f', n)
			if value then
				redis.call('SET', KEYS[1], written, 'KEEPTTL')
			else
				redis.call('SET', KEYS[1], written, 'PX', ARGV[3])
			end
			return n`),
	}
}
