package bench_test

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/panjf2000/gnet/v2"

	"github.com/seed-7410fe32/sluice/internal/leaktest"
	"github.com/seed-7410fe32/sluice/internal/proctest"
	"github.com/seed-7410fe32/sluice/internal/suite"
)

// Each of them makes this test binary a server.
const (
	rawEnv      = "SLUICE_BENCH_RAW"       // a raw gnet echo on the address it holds: the floor of one hop
	floorEnv    = "SLUICE_BENCH_FLOOR"     // the floor of a fan-out
	hopsEnv     = "SLUICE_BENCH_HOPS"      // the floor of two hops: its first process
	peerEnv     = "SLUICE_BENCH_PEER"      // and its second one, for the first one's address that it holds
	busyEnv     = "SLUICE_BENCH_BUSY"      // a program that keeps a quarter of the processors busy
	rawLoopsEnv = "SLUICE_BENCH_RAW_LOOPS" // of the raw echo
)

func TestMain(m *testing.M) {
	for env, serve := range map[string]func() error{
		rawEnv: serveRaw, floorEnv: serveFloor, hopsEnv: serveHops, peerEnv: servePeer, idleEnv: serveIdle,
		busyEnv: serveBusy,
	} {
		if os.Getenv(env) == "" {
			continue
		}
		if err := serve(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	suite.Beside(2)
	leaktest.Main(m)
}

// serveBusy ends by itself if nobody ends it.
func serveBusy() error {
	fmt.Println("ready busy")
	spin := func() {
		for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		}
	}
	for range (runtime.NumCPU()+3)/4 - 1 {
		go spin()
	}
	spin()
	return nil
}

func serveRaw() error {
	loops, err := strconv.Atoi(os.Getenv(rawLoopsEnv))
	if err != nil {
		return err
	}
	addr := os.Getenv(rawEnv)
	var h gnet.EventHandler = &rawEcho{addr: addr}
	if os.Getenv(httpEnv) != "" {
		h = &rawHTTP{rawEcho{addr: addr}}
	}
	return gnet.Run(h, "tcp://"+addr, gnet.WithNumEventLoop(loops))
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

// freeAddr returns an address that was free a moment ago: gnet cannot tell which port it was given.
func freeAddr(tb testing.TB) string {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}
