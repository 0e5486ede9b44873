package intake

import (
	"encoding/binary"
	"errors"
	"math"
	"time"
)

// datagram is a report of one call.
type datagram struct {
	Module, Interface string
	Took              time.Duration
	Success           bool
	Code              uint32
	Time              time.Time
	Message           string
}

var errDatagram = errors.New("malformed datagram")

// decode reads a datagram.
func decode(b []byte) (d datagram, err error) {
	if len(b) < 17 || len(b) != 17+int(b[0])+int(b[1])+int(binary.BigEndian.Uint16(b[11:])) {
		return d, errDatagram
	}
	seconds := float64(math.Float32frombits(binary.LittleEndian.Uint32(b[2:])))
	if !(seconds >= 0 && seconds < 1e9) {
		return d, errDatagram
	}
	d.Took, d.Success = time.Duration(seconds*1e9), b[6] != 0
	d.Code, d.Time = binary.BigEndian.Uint32(b[7:]), time.Unix(int64(binary.BigEndian.Uint32(b[13:])), 0)
	names := b[17:]
	d.Module, names = string(names[:b[0]]), names[b[0]:]
	d.Interface, d.Message = string(names[:b[1]]), string(names[b[1]:])
	return d, nil
}
