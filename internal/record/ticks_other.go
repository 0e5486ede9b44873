//go:build !amd64

package record

const hasTicks = false

func ticks() int64 { return 0 }
