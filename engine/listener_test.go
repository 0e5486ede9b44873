package engine

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"time"
)

// alive reports whether nc is served. A refused conn is closed at once.
func alive(nc net.Conn) bool {
	if _, err := nc.Write([]byte("x")); err != nil {
		return false
	}
	_, err := io.ReadFull(nc, make([]byte, 1))
	return err == nil
}

func TestLimits(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		options ListenOptions
		count   func(ListenerStats) uint64
	}{
		"MaxConns": {ListenOptions{MaxConns: 2}, func(s ListenerStats) uint64 { return s.OverMaxConns }},
		"MaxPerIP": {ListenOptions{MaxPerIP: 2}, func(s ListenerStats) uint64 { return s.OverMaxPerIP }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := start(t, Config{})
			ln := serve(t, e, funcs{data: echo}, test.options)
			first, second := dial(t, ln), dial(t, ln)
			if !alive(first) || !alive(second) || alive(dial(t, ln)) {
				t.Fatal("not exactly two were let in")
			}
			if s := ln.Stats(); test.count(s) != 1 || s.Conns != 2 {
				t.Errorf("stats: %+v", s)
			}
			first.Close()
			eventually(t, "the place is free", func() bool { return ln.Stats().Conns == 1 })
			if !alive(dial(t, ln)) {
				t.Error("the free place was not given away")
			}
		})
	}
}

// Update changes the limits of connections that come later. What it counts stays right when a limit
// comes and goes.
func TestUpdateOfLimits(t *testing.T) {
	t.Parallel()
	e := start(t, Config{})
	ln := serve(t, e, funcs{data: echo}, ListenOptions{})
	limit := func(o ListenOptions) {
		t.Helper()
		if err := ln.Update(o); err != nil {
			t.Fatal(err)
		}
	}
	uncounted := dial(t, ln)
	if !alive(uncounted) {
		t.Fatal("refused without a limit")
	}
	limit(ListenOptions{MaxConns: 1})
	if alive(dial(t, ln)) {
		t.Error("a second connection in spite of MaxConns 1")
	}
	limit(ListenOptions{MaxPerIP: 1})
	counted := dial(t, ln)
	if !alive(counted) || alive(dial(t, ln)) {
		t.Error("not exactly one was let in since MaxPerIP is 1")
	}
	uncounted.Close()
	eventually(t, "the first connection has ended", func() bool { return ln.Stats().Conns == 1 })
	if alive(dial(t, ln)) {
		t.Error("the end of a connection that does not count has freed a place")
	}
	limit(ListenOptions{})
	if !alive(dial(t, ln)) {
		t.Error("refused although the limit has gone")
	}
	counted.Close()
	if err := ln.Update(ListenOptions{MaxConns: -1}); err == nil {
		t.Error("a negative limit was accepted")
	}
	eventually(t, "no address is counted", func() bool {
		ln.mu.Lock()
		defer ln.mu.Unlock()
		return len(ln.perIP) == 0
	})
}

func TestLimitPerIPTellsAddressesApart(t *testing.T) {
	t.Parallel()
	e := start(t, Config{})
	ln := serve(t, e, funcs{data: echo}, ListenOptions{MaxPerIP: 1})
	for _, from := range []string{"127.0.0.1", "127.0.0.2"} {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		nc, err := d.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Skip("NOT TESTED: cannot dial from ", from, ": ", err)
		}
		defer nc.Close()
		_ = nc.SetDeadline(time.Now().Add(patience))
		if !alive(nc) {
			t.Errorf("%s was refused", from)
		}
	}
}

func TestOrigin(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"192.0.2.7:1":              "192.0.2.7",
		"[2001:db8:1:2:3:4:5:6]:1": "2001:db8:1:2::",
		"[fe80::2:3:4:5%eth0]:80":  "fe80::",
	} {
		if got := origin(netip.MustParseAddrPort(addr)).String(); got != want {
			t.Errorf("%s is of %s, want %s", addr, got, want)
		}
	}
}

func TestAcceptRefuses(t *testing.T) {
	t.Parallel()
	e := start(t, Config{})
	calls := 0 // owned by the accept goroutine
	ln := serve(t, e, nil, ListenOptions{Accept: func(netip.AddrPort) Handler {
		switch calls++; calls {
		case 1:
			return nil
		case 2:
			panic("test")
		}
		return funcs{data: echo}
	}})
	for i, want := range []bool{false, false, true} {
		if alive(dial(t, ln)) != want {
			t.Errorf("conn %d: alive is %v", i, !want)
		}
	}
	if s := ln.Stats(); s.Refused != 2 || s.Conns != 1 {
		t.Errorf("stats: %+v", s)
	}
}

// Who is connected stays so when the listener closes.
func TestConnsOutliveTheirListener(t *testing.T) {
	t.Parallel()
	e := start(t, Config{})
	ln := serve(t, e, funcs{data: echo}, ListenOptions{})
	before := dial(t, ln)
	if !alive(before) {
		t.Fatal("not served")
	}
	_ = ln.Close()
	if !alive(before) {
		t.Error("Close of the listener ended a conn")
	}
}

// Running out of descriptors neither harms open connections nor ends accepting.
func TestDescriptorsRunOut(t *testing.T) {
	t.Parallel()
	c := startChild(t, "exhausted")
	open := func() net.Conn {
		nc, err := net.Dial("tcp", c.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		return nc
	}
	served := func(nc net.Conn, within time.Duration) bool {
		_ = nc.SetDeadline(time.Now().Add(within))
		return alive(nc)
	}
	first := open()
	if !served(first, patience) {
		t.Fatal("the first conn is not served")
	}
	var others []net.Conn
	for range exhaustedFiles {
		others = append(others, open())
	}
	for range 10 {
		if !served(first, patience) {
			t.Fatal("a conn suffers from the others")
		}
	}
	for left := len(others); served(others[left-1], 200*time.Millisecond); left-- {
		if left == 1 {
			t.Fatal("the descriptors did not run out")
		}
	}
	for _, nc := range others {
		nc.Close()
	}
	eventually(t, "accepting goes on", func() bool {
		nc := open()
		defer nc.Close()
		return served(nc, time.Second)
	})
	if !served(first, patience) {
		t.Fatal("the first conn did not survive")
	}
}

// exhaustedFiles is the descriptor limit of the child process of that test.
const exhaustedFiles = 64
