package stats

import (
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"slices"
	"time"
)

const (
	// MaxReport is the most bytes of an encoded report.
	MaxReport = 1 << 20
	// MaxFailures is the most failures of one report.
	MaxFailures = 4096

	reportVersion = 1
	// maxHeader is the most bytes of what precedes the rows, and of the number of failures.
	maxHeader = 1 + 16 + binary.MaxVarintLen64 + 1 + MaxName + 8 + 8 + 3*binary.MaxVarintLen64
)

// ErrTooLarge is returned for a report that exceeds MaxReport.
var ErrTooLarge = errors.New("stats: the report is too large")

// ErrMalformed is returned for bytes that are no report.
var ErrMalformed = errors.New("stats: malformed report")

// ErrVersion is returned for a report of a later version.
var ErrVersion = errors.New("stats: unknown version of a report")

// Report is what a process has counted in a period.
type Report struct {
	Source       [16]byte // random for each start of the process
	Seq          uint64   // 1, 2, 3 and so on, for each source
	Node         string   // the name of the process
	From, To     time.Time
	Rows         []Row
	Failures     []Failure
	LostFailures uint64 // that had no room
}

// AppendReport appends the encoded report to dst. Names and texts are cleaned (Name, Text). The
// error is ErrTooLarge if it exceeds MaxReport, MaxPairs or MaxFailures: Encode splits it.
func AppendReport(dst []byte, r *Report) ([]byte, error) {
	start := len(dst)
	if len(r.Rows) > MaxPairs || len(r.Failures) > MaxFailures {
		return dst, ErrTooLarge
	}
	b := append(dst, reportVersion)
	b = append(b, r.Source[:]...)
	b = binary.AppendUvarint(b, r.Seq)
	b = appendName(b, r.Node)
	b = appendTime(b, r.From)
	b = appendTime(b, r.To)
	b = binary.AppendUvarint(b, r.LostFailures)
	b = binary.AppendUvarint(b, uint64(len(r.Rows)))
	for i := range r.Rows {
		b = r.Rows[i].append(b)
	}
	b = binary.AppendUvarint(b, uint64(len(r.Failures)))
	for i := range r.Failures {
		b = r.Failures[i].append(b)
	}
	if len(b)-start > MaxReport {
		return dst, ErrTooLarge
	}
	return b, nil
}

// Encode returns the encoded report, as several reports with consecutive sequence numbers if it is
// too large for one. The first has LostFailures.
func Encode(r *Report) [][]byte {
	var all [][]byte
	part := *r
	part.Rows, part.Failures = nil, nil
	size := maxHeader
	end := func() {
		b, _ := AppendReport(make([]byte, 0, size), &part) // it fits
		all = append(all, b)
		part.Seq++
		part.Rows, part.Failures, part.LostFailures, size = nil, nil, 0, maxHeader
	}
	var room []byte
	for i := range r.Rows {
		room = r.Rows[i].append(room[:0])
		if size += len(room); size > MaxReport || len(part.Rows) == MaxPairs {
			end()
			size += len(room)
		}
		part.Rows = r.Rows[i-len(part.Rows) : i+1]
	}
	for i := range r.Failures {
		room = r.Failures[i].append(room[:0])
		if size += len(room); size > MaxReport || len(part.Failures) == MaxFailures {
			end()
			size += len(room)
		}
		part.Failures = r.Failures[i-len(part.Failures) : i+1]
	}
	end()
	return all
}

// ReadReport reads a report. Names and texts are cleaned. The result does not refer to b.
func ReadReport(b []byte) (Report, error) {
	var r Report
	if len(b) > MaxReport {
		return r, ErrTooLarge
	}
	p := parser{rest: b}
	if v := p.u8(); v != reportVersion && !p.failed {
		return r, ErrVersion
	}
	copy(r.Source[:], p.bytes(len(r.Source)))
	r.Seq = p.uvarint(math.MaxUint64)
	r.Node = p.name()
	r.From, r.To = p.time(), p.time()
	r.LostFailures = p.uvarint(math.MaxUint64)
	for range p.uvarint(MaxPairs) {
		row := p.row()
		if p.failed {
			return Report{}, ErrMalformed
		}
		r.Rows = append(r.Rows, row)
	}
	for range p.uvarint(MaxFailures) {
		f := p.failure()
		if p.failed {
			return Report{}, ErrMalformed
		}
		r.Failures = append(r.Failures, f)
	}
	if p.failed || len(p.rest) > 0 || r.Seq == 0 {
		return Report{}, ErrMalformed
	}
	return r, nil
}

// append appends the encoded row to b.
func (r *Row) append(b []byte) []byte {
	b = appendName(b, r.Module)
	b = appendName(b, r.Interface)
	codes := slices.Sorted(maps.Keys(r.Codes))
	b = binary.AppendUvarint(b, uint64(len(codes)))
	last := uint32(0)
	for _, code := range codes {
		b = binary.AppendUvarint(b, uint64(code-last))
		b = binary.AppendUvarint(b, r.Codes[code])
		last = code
	}
	return r.Latency.Append(b)
}

// append appends the encoded failure to b.
func (f *Failure) append(b []byte) []byte {
	b = appendTime(b, f.Time)
	b = appendName(b, f.Module)
	b = appendName(b, f.Interface)
	b = binary.AppendUvarint(b, uint64(f.Code))
	addr := ""
	if f.Addr != "" {
		addr = Name(f.Addr)
	}
	b = append(append(b, byte(len(addr))), addr...)
	text := Text(f.Text)
	b = binary.AppendUvarint(b, uint64(len(text)))
	return append(b, text...)
}

func appendName(b []byte, name string) []byte {
	name = Name(name)
	return append(append(b, byte(len(name))), name...)
}

func appendTime(b []byte, t time.Time) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(t.UnixMilli()))
}

// parser reads the parts of a report. After an error all its results are zero values.
type parser struct {
	rest   []byte
	failed bool
}

func (p *parser) bytes(n int) []byte {
	if p.failed || n > len(p.rest) {
		p.failed, p.rest = true, nil
		return nil
	}
	b := p.rest[:n]
	p.rest = p.rest[n:]
	return b
}

func (p *parser) u8() byte {
	if b := p.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

// uvarint reads a number that is at most limit.
func (p *parser) uvarint(limit uint64) uint64 {
	v, n := binary.Uvarint(p.rest)
	if n <= 0 || v > limit {
		p.failed, p.rest = true, nil
		return 0
	}
	p.rest = p.rest[n:]
	return v
}

func (p *parser) time() time.Time {
	if b := p.bytes(8); b != nil {
		return time.UnixMilli(int64(binary.BigEndian.Uint64(b)))
	}
	return time.Time{}
}

func (p *parser) name() string { return Name(string(p.bytes(int(p.u8())))) }

func (p *parser) row() Row {
	r := Row{Module: p.name(), Interface: p.name()}
	code, failures := uint64(0), uint64(0)
	for i := range p.uvarint(MaxCodes + 1) {
		gap, n := p.uvarint(math.MaxUint32-code), p.uvarint(math.MaxUint64-failures)
		code, failures = code+gap, failures+n
		if p.failed || gap == 0 || n == 0 || i == MaxCodes && code != uint64(OtherCode) {
			p.failed = true
			return Row{}
		}
		r.Fail(uint32(code), n)
	}
	rest, err := r.Latency.Read(p.rest)
	r.Count = r.Latency.Count()
	if err != nil || failures > r.Count {
		p.failed = true
	}
	p.rest, r.Success = rest, r.Count-failures
	return r
}

func (p *parser) failure() Failure {
	f := Failure{Time: p.time(), Module: p.name(), Interface: p.name(), Code: uint32(p.uvarint(math.MaxUint32))}
	if addr := p.bytes(int(p.u8())); len(addr) > 0 {
		f.Addr = Name(string(addr))
	}
	f.Text = Text(string(p.bytes(int(p.uvarint(MaxText)))))
	return f
}
