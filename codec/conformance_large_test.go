package codec

import (
	"bytes"
	"compress/flate"
	"fmt"
	"strings"
)

// Section 9: limits and speed.
func limitCases() (all []conformanceCase) {
	const kib, mib = 1 << 10, 1 << 20
	for i, kind := range []struct {
		opcode     byte
		text, fill string
	}{{opText, "BAsd7&jh23", "*"}, {opBinary, "\x00\xfe\x23\xfa\xf0", "\xfe"}} {
		first := 0x80 | kind.opcode
		filled := func(n int) string { return strings.Repeat(kind.text, n/len(kind.text)+1)[:n] }
		for j, n := range []int{64 * kib, 256 * kib, mib, 4 * mib, 8 * mib, 16 * mib} {
			all = append(all, echoed(fmt.Sprintf("9.%d.%d", 1+i, j+1), kind.opcode, filled(n), 0, frameOf(first, filled(n))))
		}
		long := strings.Repeat(kind.fill, 4*mib)
		for j, n := range []int{64, 256, kib, 4 * kib, 16 * kib, 64 * kib, 256 * kib, mib, 4 * mib} {
			all = append(all, echoed(fmt.Sprintf("9.%d.%d", 3+i, j+1), kind.opcode, long, 0, octets(kind.opcode, long, n)...))
		}
		for j, chop := range []int{64, 128, 256, 512, 1024, 2048} {
			all = append(all, echoed(fmt.Sprintf("9.%d.%d", 5+i, j+1), kind.opcode, filled(mib), chop,
				frameOf(first, filled(mib))))
		}
		for j, n := range []int{0, 16, 64, 256, 1024, 4096} {
			c := conformanceCase{id: fmt.Sprintf("9.%d.%d", 7+i, j+1)}
			payload := strings.Repeat(kind.fill, n)
			round := step{[][]byte{frameOf(first, payload)}, []message{{kind.opcode, payload}}}
			for range 1000 { // each waits for the one before
				c.steps = append(c.steps, round)
			}
			all = append(all, c)
		}
	}
	return all
}

// Section 10: a message that its sender fragments automatically.
func fragmentationCases() []conformanceCase {
	payload := strings.Repeat("*", 65536)
	return []conformanceCase{echoed("10.1.1", opText, payload, perFrame, octets(0x01, payload, 1300)...)}
}

// Sections 12 and 13: compression, by data and by parameters, with count messages in each case.
func deflateCases(count int) (all []conformanceCase) {
	sizes := []struct{ size, fragment int }{
		{16, 0}, {64, 0}, {256, 0}, {1024, 0}, {4096, 0}, {8192, 0}, {16384, 0}, {32768, 0}, {65536, 0}, {131072, 0},
		{8192, 256}, {16384, 256}, {32768, 256}, {65536, 256}, {131072, 256}, {131072, 1024}, {131072, 4096}, {131072, 32768},
	}
	add := func(id, offer string, opcode byte, data string) {
		for i, s := range sizes {
			c := conformanceCase{id: fmt.Sprintf("%s.%d", id, i+1), offer: offer}
			for n := range count {
				at := n * s.size % (len(data) - s.size)
				payload := data[at : at+s.size]
				small := deflated(payload)
				fragment := s.fragment
				if fragment == 0 {
					fragment = len(small)
				}
				c.steps = append(c.steps, step{octets(0x40|opcode, small, fragment), []message{{opcode, payload}}})
			}
			all = append(all, c)
		}
	}
	kinds := deflateData()
	for i, data := range kinds {
		opcode := byte(opText)
		if i%2 == 1 || i == 2 || i == 4 { // JSON and HTML are text in the original
			opcode = opBinary
		}
		if i == 3 {
			opcode = opText
		}
		add(fmt.Sprintf("12.%d", i+1), "permessage-deflate; client_max_window_bits", opcode, data)
	}
	const alone, window = "; server_no_context_takeover", "; server_max_window_bits="
	for i, params := range []string{
		"", alone, window + "9", window + "15", alone + window + "9", alone + window + "15",
		alone + window + "9, permessage-deflate" + alone + ", permessage-deflate",
	} {
		add(fmt.Sprintf("13.%d", i+1), "permessage-deflate; client_no_context_takeover; client_max_window_bits"+params,
			opText, kinds[0])
	}
	return all
}

// deflated returns a message as a client compresses it without context takeover.
func deflated(payload string) string {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, 6)
	_, _ = w.Write([]byte(payload))
	_ = w.Flush()
	return strings.TrimSuffix(b.String(), flushed)
}

// deflateData returns JSON, a picture, prose, HTML and a file with compressed parts, each larger
// than the largest message.
func deflateData() [5]string {
	var kinds [5]strings.Builder
	x := uint32(1)
	next := func(n uint32) uint32 { x = x*1664525 + 1013904223; return x >> 8 % n }
	words := strings.Fields("Habe nun ach Philosophie Juristerei und Medizin und leider auch Theologie durchaus " +
		"studiert mit heissem Bemuehn da steh ich nun ich armer Tor")
	for i := 0; kinds[0].Len() < 300_000; i++ {
		fmt.Fprintf(&kinds[0], `{"id":%d,"name":"%s","value":%d,"tags":["%s","b"]},`, i, words[next(1000)%uint32(len(words))],
			next(99999), words[i%7])
	}
	for i := 0; kinds[1].Len() < 300_000; i++ {
		kinds[1].WriteByte(byte(i/512 + i%512/3 + int(x>>24%4)))
		next(4)
	}
	for kinds[2].Len() < 300_000 {
		kinds[2].WriteString(words[next(1000)%uint32(len(words))] + " ")
	}
	for i := 0; kinds[3].Len() < 300_000; i++ {
		fmt.Fprintf(&kinds[3], "<tr class=\"row%d\"><td>%s</td><td>%d</td></tr>\n", i%2, words[i%len(words)], next(5000))
	}
	for i := 0; kinds[4].Len() < 300_000; i++ {
		fmt.Fprintf(&kinds[4], "%d 0 obj << /Length 512 >> stream\n", i)
		for range 512 {
			kinds[4].WriteByte(byte(next(256)))
		}
	}
	return [5]string{kinds[0].String(), kinds[1].String(), kinds[2].String(), kinds[3].String(), kinds[4].String()}
}
