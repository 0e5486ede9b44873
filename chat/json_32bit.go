//go:build 386 || arm || mips || mipsle

package chat

import "encoding/json"

// sonic does not compile on systems where an int has 32 bits.

func marshal(v any) ([]byte, error) { return json.Marshal(v) }

func unmarshal(b []byte, v any) error { return json.Unmarshal(b, v) }
