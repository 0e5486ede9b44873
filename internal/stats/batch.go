package stats

import "encoding/binary"

const (
	// MaxBatch is the most bytes of a batch of reports.
	MaxBatch = 8 << 20
	// maxInBatch is the most reports of a batch.
	maxInBatch = 4096
)

// AppendToBatch appends an encoded report to a batch: a u32 length, big-endian, and the report. A
// batch is what a node sends to the one that keeps.
func AppendToBatch(batch, report []byte) []byte {
	batch = binary.BigEndian.AppendUint32(batch, uint32(len(report)))
	return append(batch, report...)
}

// SplitBatch returns the encoded reports of a batch, of which there is at least one, as views of
// it.
func SplitBatch(batch []byte) (reports [][]byte, err error) {
	for len(batch) > 0 || len(reports) == 0 {
		switch {
		case len(batch) < 4 || uint64(binary.BigEndian.Uint32(batch)) > uint64(len(batch)-4):
			return nil, ErrMalformed
		case len(reports) == maxInBatch:
			return nil, ErrTooLarge
		}
		n := 4 + int(binary.BigEndian.Uint32(batch))
		reports, batch = append(reports, batch[4:n]), batch[n:]
	}
	return reports, nil
}
