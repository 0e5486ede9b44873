//go:build !linux

package engine

import "net"

func listenConfig() *net.ListenConfig { return &net.ListenConfig{} }
