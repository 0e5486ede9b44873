package proctest

import (
	"bufio"
	"net"
	"strings"
	"testing"
	"time"
)

// Dial connects to an address. The connection is closed at the end of the test.
func Dial(tb testing.TB, addr string) net.Conn {
	tb.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	return conn
}

// Say sends lines to a text listener.
func Say(tb testing.TB, c net.Conn, lines ...string) {
	tb.Helper()
	if _, err := c.Write([]byte(strings.Join(lines, "\n") + "\n")); err != nil {
		tb.Fatal(err)
	}
}

// Echoes sends a line to a text listener and waits for its echo. No other line may be on its way.
func Echoes(tb testing.TB, c net.Conn, line string) {
	tb.Helper()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		tb.Fatal(err)
	}
	Say(tb, c, line)
	if got, err := bufio.NewReader(c).ReadString('\n'); err != nil || got != line+"\n" {
		tb.Fatalf("%q came back as %q, %v", line, got, err)
	}
}
