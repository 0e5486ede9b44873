package keep

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/seed-7410fe32/sluice/internal/stats"
)

// The keys of the store begin with one of these bytes. Integers in them are big-endian, so that the
// keys have their order.
const (
	keyMinute  = 'm' // period (4 bytes), module, 0, interface: a row of a minute
	keyFive    = 'n' // the same: a row of five minutes
	keyFailure = 'f' // Unix time in milliseconds (8 bytes), number (4 bytes): a failure
	keySource  = 's' // source (16 bytes): what is known of it
	keyVersion = 'v' // the version of the format
	keyClock   = 'c' // the time that retention goes by, in minutes since 1970 (4 bytes)
)

// format is the version of what is stored. A Keeper does not open another one.
const format = "1"

// minuteOf returns the minutes from 1970 to t.
func minuteOf(t time.Time) uint32 { return uint32(max(t.Unix()/60, 0)) }

// timeOf returns the beginning of a minute.
func timeOf(minute uint32) time.Time { return time.Unix(int64(minute)*60, 0).UTC() }

// pair names what rows are about.
type pair struct{ module, iface string }

// periodKey is the beginning of the keys of a period's rows.
func periodKey(kind byte, minute uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{kind}, minute)
}

// rowKey is the key of a row.
func rowKey(kind byte, minute uint32, p pair) []byte {
	return append(append(append(periodKey(kind, minute), p.module...), 0), p.iface...)
}

// period returns the minute of the key of a row. ok is false for another key.
func period(kind byte, k []byte) (minute uint32, ok bool) {
	if len(k) < 5 || k[0] != kind {
		return 0, false
	}
	return binary.BigEndian.Uint32(k[1:]), true
}

// namesOf returns the names in the key of a row, as views of it.
func namesOf(k []byte) (module, iface []byte) {
	module, iface, _ = bytes.Cut(k[5:], []byte{0})
	return module, iface
}

// failureKey is the key of a failure.
func failureKey(ms int64, number uint32) []byte {
	k := binary.BigEndian.AppendUint64([]byte{keyFailure}, uint64(max(ms, 0)))
	return binary.BigEndian.AppendUint32(k, number)
}

// failureTime returns the time and the number in the key of a failure. ok is false for another key.
func failureTime(k []byte) (ms int64, number uint32, ok bool) {
	if len(k) != 13 || k[0] != keyFailure {
		return 0, 0, false
	}
	return int64(binary.BigEndian.Uint64(k[1:])), binary.BigEndian.Uint32(k[9:]), true
}

// sourceKey is the key of a source.
func sourceKey(of [16]byte) []byte { return append([]byte{keySource}, of[:]...) }

// weight is how many bytes an entry counts: what it takes in the file, without what pages take.
func weight(key, value []byte) int64 { return int64(len(key) + len(value) + 16) }

// appendRow appends what is stored of a row besides its names.
func appendRow(b []byte, r *stats.Row) []byte {
	codes := slices.Sorted(maps.Keys(r.Codes))
	b = append(b, byte(len(codes))) // at most stats.MaxCodes and the one for others
	for _, code := range codes {
		b = binary.AppendUvarint(b, uint64(code))
		b = binary.AppendUvarint(b, r.Codes[code])
	}
	return r.Latency.Append(b)
}

var errRow = errors.New("keep: a stored row is not valid")

// mergeRow adds what appendRow has written to r.
func mergeRow(r *stats.Row, b []byte) error {
	if len(b) == 0 {
		return errRow
	}
	n, b := int(b[0]), b[1:]
	var failed uint64
	for range n {
		code, used := binary.Uvarint(b)
		b = b[max(used, 0):]
		calls, more := binary.Uvarint(b)
		if used <= 0 || more <= 0 || code > uint64(stats.OtherCode) {
			return errRow
		}
		b = b[more:]
		r.Fail(uint32(code), calls)
		failed += calls
	}
	before := r.Latency.Count()
	rest, err := r.Latency.Read(b)
	if err != nil || len(rest) > 0 {
		return errRow
	}
	n64 := r.Latency.Count() - before
	if failed > n64 {
		return errRow
	}
	r.Count += n64
	r.Success += n64 - failed
	return nil
}

// appendFailure appends what is stored of a failure besides its time.
func appendFailure(b []byte, f *stats.Failure, node string) []byte {
	b = binary.AppendUvarint(b, uint64(f.Code))
	for _, s := range []string{f.Module, f.Interface, f.Addr, node, f.Text} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}

var errFailure = errors.New("keep: a stored failure is not valid")

// readFailure reads what appendFailure has written. The strings are views of b.
func readFailure(b []byte) (f failureView, err error) {
	code, n := binary.Uvarint(b)
	if n <= 0 || code > uint64(stats.OtherCode) {
		return f, errFailure
	}
	f.code, b = uint32(code), b[n:]
	for _, part := range []*[]byte{&f.module, &f.iface, &f.addr, &f.node, &f.text} {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return f, errFailure
		}
		*part, b = b[n:n+int(size)], b[n+int(size):]
	}
	return f, nil
}

// failureView is a stored failure. Its parts are valid as long as the transaction.
type failureView struct {
	code                            uint32
	module, iface, addr, node, text []byte
}
