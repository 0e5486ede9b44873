//go:build !386 && !arm && !mips && !mipsle

package chat

import "github.com/bytedance/sonic"

func marshal(v any) ([]byte, error) { return sonic.ConfigStd.Marshal(v) }

func unmarshal(b []byte, v any) error { return sonic.ConfigStd.Unmarshal(b, v) }
