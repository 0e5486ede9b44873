package stats

import "encoding/binary"

// MaxBatch is the most bytes of a batch of reports.
const MaxBatch = 8 << 20

// AppendToBatch appends an encoded report to a batch: a u32 length, big-endian, and the report. A
// batch is what a node sends to the one that keeps.
func AppendToBatch(batch, report []byte) []byte {
	batch = binary.BigEndian.AppendUint32(batch, uint32(len(report)))
	return append(batch, report...)
}

// ReadBatch reads the reports of a batch, of which there is at least one.
func ReadBatch(b []byte) (all []Report, err error) {
	for len(b) > 0 || len(all) == 0 {
		if len(b) < 4 || binary.BigEndian.Uint32(b) > uint32(len(b)-4) {
			return nil, ErrMalformed
		}
		n := 4 + int(binary.BigEndian.Uint32(b))
		r, err := ReadReport(b[4:n])
		if err != nil {
			return nil, err
		}
		all, b = append(all, r), b[n:]
	}
	return all, nil
}
