package codec

import (
	"fmt"
	"strings"
)

// echoed returns a case whose frames are one message, which comes back.
func echoed(id string, opcode byte, payload string, chop int, frames ...[]byte) conformanceCase {
	return conformanceCase{id: id, chop: chop, steps: []step{{frames, []message{{opcode, payload}}}}}
}

// failed returns a case whose frames end the connection with a protocol error, after want.
func failed(id string, chop int, want []message, frames ...[]byte) conformanceCase {
	return conformanceCase{id: id, chop: chop, steps: []step{{frames, want}}, fails: []uint16{1002}}
}

// Section 1: framing.
func framingCases() (all []conformanceCase) {
	for i, kind := range []struct {
		opcode byte
		fill   string
	}{{opText, "*"}, {opBinary, "\xfe"}} {
		for j, n := range []int{0, 125, 126, 127, 128, 65535, 65536, 65536} {
			chop := 0
			if j == 7 {
				chop = 997
			}
			payload := strings.Repeat(kind.fill, n)
			all = append(all, echoed(fmt.Sprintf("1.%d.%d", i+1, j+1), kind.opcode, payload, chop,
				frameOf(0x80|kind.opcode, payload)))
		}
	}
	return all
}

// Section 2: pings and pongs.
func pingCases() (all []conformanceCase) {
	full := strings.Repeat("\xfe", 125)
	for i, payload := range []string{"", "Hello, world!", "\x00\xff\xfe\xfd\xfc\xfb\x00\xff", full} {
		all = append(all, echoed(fmt.Sprintf("2.%d", i+1), opPong, payload, 0, frameOf(0x89, payload)))
	}
	var pings [][]byte
	var pongs []message
	for i := range 10 {
		payload := fmt.Sprintf("payload-%d", i)
		pings, pongs = append(pings, frameOf(0x89, payload)), append(pongs, message{opPong, payload})
	}
	const unsolicited = "unsolicited pong payload"
	return append(all,
		failed("2.5", 0, nil, frameOf(0x89, full+"\xfe")),
		echoed("2.6", opPong, full, 1, frameOf(0x89, full)),
		conformanceCase{id: "2.7", steps: []step{{send: [][]byte{frameOf(0x8a, "")}}}},
		conformanceCase{id: "2.8", steps: []step{{send: [][]byte{frameOf(0x8a, unsolicited)}}}},
		echoed("2.9", opPong, "ping payload", 0, frameOf(0x8a, unsolicited), frameOf(0x89, "ping payload")),
		conformanceCase{id: "2.10", steps: []step{{pings, pongs}}},
		conformanceCase{id: "2.11", steps: []step{{pings, pongs}}, chop: 1},
	)
}

const hello = "Hello, world!"

// Section 3: reserved bits.
func reservedBitCases() []conformanceCase {
	text, ping, echo := frameOf(0x81, hello), frameOf(0x89, ""), []message{{opText, hello}}
	return []conformanceCase{
		failed("3.1", 0, nil, frameOf(0x91, hello)),
		failed("3.2", 0, echo, text, frameOf(0xa1, hello), ping),
		failed("3.3", perFrame, echo, text, frameOf(0xb1, hello), ping),
		failed("3.4", 1, echo, text, frameOf(0xc1, hello), ping),
		failed("3.5", 0, nil, frameOf(0xd2, "\x00\xff\xfe\xfd\xfc\xfb\x00\xff")),
		failed("3.6", 0, nil, frameOf(0xe9, hello)),
		failed("3.7", 0, nil, frameOf(0xf8, "")),
	}
}

// Section 4: reserved opcodes.
func opcodeCases() (all []conformanceCase) {
	text, ping, echo := frameOf(0x81, hello), frameOf(0x89, ""), []message{{opText, hello}}
	for i, op := range []byte{0x83, 0x8b} {
		id := func(j int) string { return fmt.Sprintf("4.%d.%d", i+1, j) }
		all = append(all,
			failed(id(1), 0, nil, frameOf(op, "")),
			failed(id(2), 0, nil, frameOf(op+1, "reserved opcode payload")),
			failed(id(3), 0, echo, text, frameOf(op+2, ""), ping),
			failed(id(4), 0, echo, text, frameOf(op+3, hello), ping),
			failed(id(5), 1, echo, text, frameOf(op+4, hello), ping),
		)
	}
	return all
}

// Section 5: fragments.
func fragmentCases() (all []conformanceCase) {
	first, last, ping := frameOf(0x01, "fragment1"), frameOf(0x80, "fragment2"), frameOf(0x89, "ping payload")
	const joined = "fragment1fragment2"
	both := []message{{opPong, "ping payload"}, {opText, joined}}
	stray, open, text := frameOf(0x80, "non-continuation payload"), frameOf(0x00, "non-continuation payload"),
		frameOf(0x81, hello)
	all = append(all,
		failed("5.1", 0, nil, frameOf(0x09, "fragment1"), last),
		failed("5.2", 0, nil, frameOf(0x0a, "fragment1"), last))
	for i, chop := range []int{0, perFrame, 1} {
		all = append(all,
			echoed(fmt.Sprintf("5.%d", 3+i), opText, joined, chop, first, last),
			conformanceCase{id: fmt.Sprintf("5.%d", 6+i), chop: chop, steps: []step{{[][]byte{first, ping, last}, both}}},
			failed(fmt.Sprintf("5.%d", 9+i), chop, nil, stray, text),
			failed(fmt.Sprintf("5.%d", 12+i), chop, nil, open, text))
	}
	again := func(first byte) [][]byte {
		one := [][]byte{frameOf(first, "fragment1"), frameOf(0x01, "fragment2"), frameOf(0x80, "fragment3")}
		return append(one, one...)
	}
	all = append(all,
		failed("5.15", 0, []message{{opText, joined}}, first, last, frameOf(0x00, "fragment3"), frameOf(0x81, "fragment4")),
		failed("5.16", 0, nil, again(0x00)...),
		failed("5.17", 0, nil, again(0x80)...),
		failed("5.18", 0, nil, first, frameOf(0x81, "fragment2")))
	for i, chop := range []int{0, perFrame} {
		all = append(all, conformanceCase{id: fmt.Sprintf("5.%d", 19+i), chop: chop, steps: []step{
			{[][]byte{first, frameOf(0x00, "fragment2"), frameOf(0x89, "pongme 1!")}, []message{{opPong, "pongme 1!"}}},
			{[][]byte{frameOf(0x00, "fragment3"), frameOf(0x00, "fragment4"), frameOf(0x89, "pongme 2!"),
				frameOf(0x80, "fragment5")},
				[]message{{opPong, "pongme 2!"}, {opText, "fragment1fragment2fragment3fragment4fragment5"}}},
		}})
	}
	return all
}

// Section 7: closing.
func closeCases() (all []conformanceCase) {
	const text = "Hello World!"
	normal := frameOf(0x88, closing(1000, ""))
	closes := func(id string, want []message, frames ...[]byte) {
		all = append(all, conformanceCase{id: id, steps: []step{{frames, want}}, early: true})
	}
	ends := func(id string, frame []byte, codes ...uint16) {
		all = append(all, conformanceCase{id: id, steps: []step{{send: [][]byte{frame}}}, fails: codes})
	}
	all = append(all, echoed("7.1.1", opText, text, 0, frameOf(0x81, text)))
	closes("7.1.2", nil, normal, frameOf(0x88, ""))
	closes("7.1.3", nil, normal, frameOf(0x89, ""))
	closes("7.1.4", nil, normal, frameOf(0x81, text))
	closes("7.1.5", nil, frameOf(0x01, "fragment1"), normal, frameOf(0x80, "fragment2"))
	big := strings.Repeat("BAsd7&jh23", 26215)[:256<<10]
	closes("7.1.6", []message{{opText, big}, {opText, text}}, frameOf(0x81, big), frameOf(0x81, text), normal,
		frameOf(0x89, ""))

	ends("7.3.1", frameOf(0x88, ""), 0, 1000)
	ends("7.3.2", frameOf(0x88, "a"), 1002)
	ends("7.3.3", normal, 1000)
	ends("7.3.4", frameOf(0x88, closing(1000, text)), 1000)
	ends("7.3.5", frameOf(0x88, closing(1000, strings.Repeat("*", 123))), 1000)
	ends("7.3.6", frameOf(0x88, closing(1000, strings.Repeat("*", 124))), 1002)
	ends("7.5.1", frameOf(0x88, closing(1000, "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited")), 1007)
	for i, code := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999} {
		ends(fmt.Sprintf("7.7.%d", i+1), frameOf(0x88, closing(code, "")), code, 1000)
	}
	for i, code := range []uint16{0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999} {
		ends(fmt.Sprintf("7.9.%d", i+1), frameOf(0x88, closing(code, "")), 1002)
	}
	ends("7.13.1", frameOf(0x88, closing(5000, "")), 1002)
	ends("7.13.2", frameOf(0x88, closing(65535, "")), 1002)
	return all
}
