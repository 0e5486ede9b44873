// Package sdnotify tells the service manager of a process, systemd, how the process is. See
// sd_notify(3).
package sdnotify

import (
	"fmt"
	"net"
	"os"
	"time"
)

// Variable is the environment variable with the socket of the service manager. Processes that are
// started from here must not have it.
const Variable = "NOTIFY_SOCKET"

// These are the states of a process.
const (
	Ready    = "READY=1"
	Stopping = "STOPPING=1"
)

// sendTimeout is how long a manager may take that does not read.
const sendTimeout = time.Second

// Send sends a state to the service manager. Without one it does nothing. It blocks for a second at
// most.
func Send(state string) error {
	name := os.Getenv(Variable)
	if name == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"}) // @ is an abstract name
	if err != nil {
		return fmt.Errorf("notify the service manager: %w", err)
	}
	defer conn.Close() //nolint:errcheck // it has sent everything, or failed
	_ = conn.SetWriteDeadline(time.Now().Add(sendTimeout))
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("notify the service manager: %w", err)
	}
	return nil
}
