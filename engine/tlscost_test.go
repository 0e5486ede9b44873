package engine

import (
	"crypto/tls"
	"testing"
)

// A message over TLS, in and out, allocates nothing.
func TestTLSAllocations(t *testing.T) {
	versions(t, func(t *testing.T, version uint16) {
		s := serveTLS(t, funcs{data: echo}, ListenOptions{})
		f := s.forge(t, version)
		f.raw.send(t, f.record(23, []byte("first")))
		expect(t, f, []byte("first"))
		const runs = 100
		records := make([][]byte, runs+2)
		for i := range records {
			records[i] = f.record(23, pattern(100))
		}
		l := s.Loops()[0]
		on(t, l, func() {
			for c := range l.Conns() {
				n := 0
				allocs := testing.AllocsPerRun(runs, func() {
					secureOf(c).receive(records[n])
					c.flush()
					n++
				})
				if allocs > 0 {
					t.Errorf("%v allocations for a message", allocs)
				}
			}
		})
	})
}

// BenchmarkTLSEcho is a message over TLS, in and out, without the kernel's part of the input.
func BenchmarkTLSEcho(b *testing.B) {
	s := serveTLS(b, funcs{data: echo}, ListenOptions{})
	f := s.forge(b, tls.VersionTLS13)
	go func() {
		for buf := make([]byte, 64<<10); ; {
			if _, err := f.raw.Read(buf); err != nil {
				return
			}
		}
	}()
	l := s.Loops()[0]
	records := make([][]byte, b.N)
	for i := range records {
		records[i] = f.record(23, pattern(100))
	}
	eventually(b, "the connection is open", func() bool { return s.loopStats().TLSConns == 1 })
	on(b, l, func() {
		for c := range l.Conns() {
			b.ReportAllocs()
			b.ResetTimer()
			for _, record := range records {
				secureOf(c).receive(record)
				c.flush()
			}
		}
	})
}
