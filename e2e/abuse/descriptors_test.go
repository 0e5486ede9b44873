package abuse_test

import (
	"bufio"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// A gateway has fewer descriptors than there are dials. Connected clients are not affected, and
// the others are served soon after descriptors are free again.
func TestDescriptorsRunOut(t *testing.T) {
	bin := proctest.Build(t)
	server := proctest.Start(t, nil, "/bin/sh", "-c", "ulimit -n 64; exec "+bin+" echo --listen text://127.0.0.1:0")
	addr := server.Addrs["text"]
	var live []net.Conn
	echo := func(c net.Conn) error {
		if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			return err
		}
		if _, err := c.Write([]byte("hello\n")); err != nil {
			return err
		}
		line, err := bufio.NewReader(c).ReadString('\n')
		if err == nil && line != "hello\n" {
			err = fmt.Errorf("got %q", line)
		}
		return err
	}
	dial := func() net.Conn {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	for range 10 {
		c := dial()
		if err := echo(c); err != nil {
			t.Fatal(err)
		}
		live = append(live, c)
	}
	var flood []net.Conn
	for range 120 {
		flood = append(flood, dial()) // the kernel takes them all
	}
	for _, c := range live {
		if err := echo(c); err != nil {
			t.Errorf("a connected client was disturbed: %v", err)
		}
	}
	for _, c := range flood[:100] {
		_ = c.Close()
	}
	free := time.Now()
	for _, c := range append(flood[100:], live...) {
		if err := echo(c); err != nil {
			t.Errorf("after descriptors came free: %v", err)
		}
		if c == flood[len(flood)-1] {
			t.Logf("the last who had waited was served %v after descriptors were free",
				time.Since(free).Round(100*time.Microsecond))
		}
	}
	const promised = time.Second
	if took := time.Since(free); took > 3*promised { // other tests may run beside
		t.Errorf("all were served only %v after descriptors were free", took)
	}
}
