package bench_test

import (
	"bufio"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/bench"
	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// TestSlowReaders has slow readers in rooms: the load of the others goes on.
func TestSlowReaders(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	for _, mode := range []bench.Mode{bench.Broadcast, bench.Rooms, bench.Chat} {
		for _, c := range []bench.Codec{bench.WebSocket, bench.JSON} {
			t.Run(string(mode)+"/"+string(c), func(t *testing.T) {
				r := run(t, short(bench.Options{
					Mode: mode, Codec: c, RoomSize: 10, SlowReaders: 3, Servers: bench.Servers{Binary: bin},
				}))
				if r.SlowReaders == nil || r.SlowReaders.Readers != 3 || r.SlowReaders.Cut > 0 {
					t.Errorf("so little fits into buffers, and of the slow readers there is %+v", r.SlowReaders)
				}
			})
		}
	}
}

// TestSlowReaderCut has a server that closes one of the readers as soon as it has joined.
func TestSlowReaderCut(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	const conns, probes = 4, 2
	var accepted atomic.Int32
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			last := accepted.Add(1) == conns+probes // the readers come last
			go func() {
				defer func() { _ = nc.Close() }()
				if !last {
					_, _ = io.Copy(nc, nc)
					return
				}
				line, _ := bufio.NewReader(nc).ReadBytes('\n')
				_, _ = nc.Write(line)
			}()
		}
	}()
	o := bench.Options{
		Mode: bench.Broadcast, Codec: bench.Text, Conns: conns, Senders: 4, Size: 64, SlowReaders: probes,
		Targets: []string{ln.Addr().String()}, Warmup: 50 * time.Millisecond, Window: 500 * time.Millisecond,
		Drain: 10 * time.Millisecond,
	}
	r, err := bench.Run(t.Context(), o, nil) // the server echoes instead of broadcasting, which is not the question
	if err != nil {
		t.Fatal(err)
	}
	if s := r.SlowReaders; s == nil || s.Readers != probes || s.Cut != 1 || s.First <= 0 || s.First != s.Last {
		t.Errorf("%+v", s)
	}
}
