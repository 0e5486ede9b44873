package bench_test

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"testing"

	"github.com/panjf2000/gnet/v2"

	"sluice/internal/leak"
	"sluice/internal/proctest"
)

// rawEnv makes this test binary a raw gnet echo server on the address it holds: the floor that the two-hop path is measured against.
const (
	rawEnv      = "SLUICE_BENCH_RAW"
	rawLoopsEnv = "SLUICE_BENCH_RAW_LOOPS"
)

func TestMain(m *testing.M) {
	if addr := os.Getenv(rawEnv); addr != "" {
		loops, err := strconv.Atoi(os.Getenv(rawLoopsEnv))
		if err == nil {
			var h gnet.EventHandler = &rawEcho{addr: addr}
			if os.Getenv(httpEnv) != "" {
				h = &rawHTTP{rawEcho{addr: addr}}
			}
			err = gnet.Run(h, "tcp://"+addr, gnet.WithNumEventLoop(loops))
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if os.Getenv(idleEnv) != "" {
		if err := serveIdle(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	leak.Main(m)
}

type rawEcho struct {
	gnet.BuiltinEventEngine
	addr string
}

func (e *rawEcho) OnBoot(gnet.Engine) gnet.Action {
	fmt.Println("ready text://" + e.addr)
	return gnet.None
}

func (*rawEcho) OnTraffic(c gnet.Conn) gnet.Action {
	b, err := c.Next(-1)
	if err == nil {
		_, err = c.Write(b)
	}
	if err != nil {
		return gnet.Close
	}
	return gnet.None
}

func startRaw(tb testing.TB, loops int) *proctest.Process {
	tb.Helper()
	return proctest.Start(tb, []string{rawEnv + "=" + freeAddr(tb), rawLoopsEnv + "=" + strconv.Itoa(loops)}, os.Args[0])
}

// freeAddr is an address that nobody listened on a moment ago: gnet cannot tell which port it was given.
func freeAddr(tb testing.TB) string {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}
