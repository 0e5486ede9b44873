package stat

import (
	"encoding/binary"
	"errors"
	"math"
	"time"
)

// Datagram is the report of one call in the layout of GatewayWorker's StatisticClient:
//
//	module length u8 · interface length u8 · seconds float32 · success u8 · code u32
//	· text length u16 · time u32 (seconds since 1970) · module · interface · text
//
// The float is little-endian, as PHP writes it on all usual machines, and other numbers are
// big-endian.
type Datagram struct {
	Module, Interface string        // at most 255 bytes each
	Took              time.Duration // a float32 on the wire: the first 7 digits are kept
	Success           bool
	Code              uint32
	Time              time.Time // whole seconds, from 1970 to 2106
	Text              string    // as long as there is room in a datagram
}

const (
	datagramHeader = 17
	maxDatagram    = 65_507 // bytes of UDP over IPv4
	longest        = 1e9    // seconds, 31 years
)

// ErrDatagram is returned for bytes that are not a datagram of this layout.
var ErrDatagram = errors.New("stat: malformed datagram")

// FailureCode returns the code that the call counts with: 0 if it has succeeded, 1 for a failure
// without a code.
func (d *Datagram) FailureCode() uint32 {
	if d.Success {
		return 0
	}
	return max(d.Code, 1)
}

// Append appends the datagram to dst. What is too long is cut.
func (d *Datagram) Append(dst []byte) []byte {
	module, name := d.Module[:min(len(d.Module), 255)], d.Interface[:min(len(d.Interface), 255)]
	text := d.Text[:min(len(d.Text), maxDatagram-datagramHeader-len(module)-len(name))]
	success := byte(0)
	if d.Success {
		success = 1
	}
	dst = append(dst, byte(len(module)), byte(len(name)))
	dst = binary.LittleEndian.AppendUint32(dst, math.Float32bits(float32(d.Took.Seconds())))
	dst = append(dst, success)
	dst = binary.BigEndian.AppendUint32(dst, d.Code)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(text)))
	dst = binary.BigEndian.AppendUint32(dst, uint32(d.Time.Unix()))
	dst = append(dst, module...)
	dst = append(dst, name...)
	return append(dst, text...)
}

// ReadDatagram reads a datagram. Names and text are as they were sent: any bytes. A negative time,
// as of a clock that was set back, is 0. The error is ErrDatagram.
func ReadDatagram(b []byte) (Datagram, error) {
	if len(b) < datagramHeader {
		return Datagram{}, ErrDatagram
	}
	names, text := int(b[0])+int(b[1]), int(binary.BigEndian.Uint16(b[11:]))
	took := float64(math.Float32frombits(binary.LittleEndian.Uint32(b[2:])))
	if len(b) != datagramHeader+names+text || math.IsNaN(took) || math.IsInf(took, 0) {
		return Datagram{}, ErrDatagram
	}
	rest := string(b[datagramHeader:])
	return Datagram{
		Module: rest[:b[0]], Interface: rest[b[0]:names], Text: rest[names:],
		Took:    time.Duration(math.Round(min(max(took, 0), longest) * 1e9)),
		Success: b[6] != 0, Code: binary.BigEndian.Uint32(b[7:]),
		Time: time.Unix(int64(binary.BigEndian.Uint32(b[13:])), 0),
	}, nil
}
