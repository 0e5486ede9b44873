//go:build !linux

package proctest

import (
	"errors"
	"net"
	"os/exec"
	"testing"
)

// Network is another host. It exists only on Linux.
type Network struct{ Here, There string }

// NewNetwork skips the test.
func NewNetwork(tb testing.TB) *Network {
	tb.Skip("NOT TESTED: network namespaces need Linux")
	return nil
}

// Cut does nothing.
func (*Network) Cut() {}

// Heal does nothing.
func (*Network) Heal() {}

// Cable connects two hosts other than this one.
type Cable struct{ From, To string }

// Connect returns nothing.
func (*Network) Connect(*Network) *Cable { return nil }

// Cut does nothing.
func (*Cable) Cut() {}

// Heal does nothing.
func (*Cable) Heal() {}

// Command returns nothing.
func (*Network) Command(string, ...string) *exec.Cmd { return nil }

// Start does nothing.
func (*Network) Start(string, ...string) *Process { return nil }

// Dial fails.
func (*Network) Dial(string) (net.Conn, error) { return nil, errors.ErrUnsupported }
