package redisdir_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/directory"
	"github.com/seed-7410fe32/sluice/internal/directory/redisdir"
	"github.com/seed-7410fe32/sluice/internal/redistest"
)

// What the package's documentation says of memory in Redis is so.
func TestMemory(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	d := connect(t, redisdir.Config{URL: "redis://" + s.Addr, Prefix: "p"})
	usage := func(key string) int {
		n, err := strconv.Atoi(s.Do("memory", "usage", key, "samples", "0"))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	most := func(what string, bytes, bound int) {
		t.Logf("%s: %d bytes, of at most %d", what, bytes, bound)
		if bytes > bound {
			t.Errorf("%s: %d bytes, more than %d", what, bytes, bound)
		}
	}
	const rows = 300
	owner, value := strings.Repeat("o", 32), bytes.Repeat([]byte("v"), 200)
	for i := range rows {
		key := fmt.Sprintf("gateway/%06d", i)
		if _, err := d.Claim(t.Context(), key, owner, time.Minute, value); err != nil {
			t.Fatal(err)
		}
	}
	key := "gateway/000000"
	most("a row, besides key, owner and value", usage("p:row:"+key)-len(key)-len(owner)-len(value), 550)
	most("a row in its index, besides twice its key", usage("p:index:gateway")/rows-2*len(key), 300)

	small := []directory.Set{{Kind: directory.UID, Name: "someone"}}
	wide := []directory.Set{{Kind: directory.Group, Name: "everyone"}}
	const gateways = 600
	for i := range uint32(gateways) {
		m := directory.Member{Gateway: 1_000_000 + i, Epoch: 1_790_000_000_000_000}
		sets := wide
		if i == 0 {
			sets = append(sets, small...)
		}
		if _, err := d.Enter(t.Context(), m, sets); err != nil {
			t.Fatal(err)
		}
	}
	one := usage("p:set:u:someone")
	most("a set with one gateway, besides its name", one-len("someone"), 250)
	if _, err := d.Locate(t.Context(), directory.Reader{Gateway: 1_000_000, Loop: 12}, time.Minute, small); err != nil {
		t.Fatal(err)
	}
	most("a reader of a small set", usage("p:set:u:someone")-one, 150)
	most("a gateway in a set of many", usage("p:set:g:everyone")/gateways, 150)
	claim := bytes.Repeat([]byte("c"), 60)
	for i := range 500 {
		if err := d.Post(t.Context(), 1, [][]byte{fmt.Appendf(claim, "%04d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	most("a message, besides twice its length", usage("p:mail:1")/500-2*64, 100)
	for key := range strings.FieldsSeq(s.Do("keys", "*")) {
		if ttl := s.Do("pttl", key); strings.HasPrefix(ttl, "-") {
			t.Errorf("%s has no time to live: %s", key, ttl)
		}
	}
}

// A connected client without work costs the commands that the documentation says.
func TestIdleCommands(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	d := connect(t, redisdir.Config{URL: "redis://" + s.Addr})
	await(t, "up", func() bool { return d.State().Up })
	count := func() int {
		_, rest, _ := strings.Cut(s.Do("info", "stats"), "total_commands_processed:")
		text, _, _ := strings.Cut(rest, "\r")
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	began, before := time.Now(), count()
	time.Sleep(5 * time.Second)
	n, took := count()-before, time.Since(began).Seconds()
	t.Logf("%.1f commands a second", float64(n)/took)
	if rate := float64(n) / took; rate > 6 || rate < 1 {
		t.Errorf("%.1f commands a second without work", rate)
	}
}

// A server that may evict keys is named in the log.
func TestEvictionIsNamed(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t, "--maxmemory", "100mb", "--maxmemory-policy", "volatile-lru")
	var log bytes.Buffer
	d, err := redisdir.New(redisdir.Config{URL: "redis://" + s.Addr, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "up", func() bool { return d.State().Up })
	d.Close()
	if text := log.String(); !strings.Contains(text, "volatile-lru") || !strings.Contains(text, s.Addr) {
		t.Errorf("logged %s", text)
	}
}

// The server's processor time of each call is in the column server-ns/op.
func BenchmarkCalls(b *testing.B) {
	s := redistest.Start(b)
	d, err := redisdir.New(redisdir.Config{URL: "redis://" + s.Addr, Timeout: 10 * time.Second})
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	sets := make([]directory.Set, 1000)
	for i := range sets {
		sets[i] = directory.Set{Kind: directory.UID, Name: fmt.Sprint("user ", i)}
	}
	ctx, m := b.Context(), directory.Member{Gateway: 1, Epoch: 1}
	row, err := d.Claim(ctx, "room/1", "a", time.Minute, nil)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		call func() error
	}{
		{"enter 1000 sets", func() error { _, err := d.Enter(ctx, m, sets); return err }},
		{"locate 1000 sets", func() error {
			_, err := d.Locate(ctx, directory.Reader{Gateway: 2}, time.Minute, sets)
			return err
		}},
		{"leave 1000 sets", func() error { return d.Leave(ctx, m, sets) }},
		{"enter 1 set", func() error { _, err := d.Enter(ctx, m, sets[:1]); return err }},
		{"fetch from an empty box", func() error { _, err := d.Fetch(ctx, 1, nil); return err }},
		{"renew", func() error { return d.Renew(ctx, "room/1", "a", row.Epoch, time.Minute) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			before, n := busy(b, s), 0
			for b.Loop() {
				if err := c.call(); err != nil {
					b.Fatal(err)
				}
				n++
			}
			b.ReportMetric(float64((busy(b, s)-before).Nanoseconds())/float64(n), "server-ns/op")
		})
	}
}

// busy returns the processor time of a server.
func busy(b *testing.B, s *redistest.Server) (sum time.Duration) {
	info := s.Do("info", "cpu")
	for _, name := range []string{"used_cpu_sys:", "used_cpu_user:"} {
		_, rest, _ := strings.Cut(info, "\n"+name)
		text, _, _ := strings.Cut(rest, "\r")
		seconds, err := strconv.ParseFloat(text, 64)
		if err != nil {
			b.Fatal(err)
		}
		sum += time.Duration(seconds * float64(time.Second))
	}
	return sum
}
