package discover_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/worker"
	"github.com/seed-7410fe32/sluice/worker/discover"
)

var _ worker.Resolver = (*discover.DNS)(nil)

// found is a running Watch.
type found struct {
	t     *testing.T
	lists chan []string
	log   lines
	d     *discover.DNS
}

func watch(t *testing.T, s *nameServer, urls ...string) *found {
	t.Helper()
	f := &found{t: t, lists: make(chan []string, 100)}
	var err error
	f.d, err = discover.NewDNS(discover.DNSConfig{
		URLs: urls, Interval: time.Second, Resolver: s.resolver(), Logger: f.log.logger(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.d.Watch(ctx, func(addrs []string) { f.lists <- addrs })
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return f
}

// finds fails the test unless the next list is this one.
func (f *found) finds(want ...string) {
	f.t.Helper()
	select {
	case got := <-f.lists:
		if !slices.Equal(got, want) {
			f.t.Fatalf("found %v, want %v", got, want)
		}
	case <-time.After(time.Minute):
		f.t.Fatal("nothing was found")
	}
}

func (f *found) await(what string, done func() bool) {
	f.t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatal("it did not come to pass: ", what)
		}
	}
}

// A host name is followed, with addresses of both families and as many as there are.
func TestHostName(t *testing.T) {
	t.Parallel()
	s := newNameServer(t)
	s.set("gateways.test", "10.0.0.2", "10.0.0.1", "2001:db8::1")
	f := watch(t, s, "dns://gateways.test:2300")
	f.finds("10.0.0.1:2300", "10.0.0.2:2300", "[2001:db8::1]:2300")
	s.set("gateways.test", "10.0.0.3")
	f.finds("10.0.0.3:2300")
	var many, want []string
	for i := range 200 {
		many = append(many, fmt.Sprintf("10.1.0.%d", i))
		want = append(want, many[i]+":2300")
	}
	s.set("gateways.test", many...)
	slices.Sort(want)
	f.finds(want...)
	if _, byTCP := s.counts(); byTCP == 0 {
		t.Error("the long answer did not need TCP: the test tests nothing")
	}
}

// SRV records have hosts and ports of their own. A target "." is none.
func TestServiceRecords(t *testing.T) {
	t.Parallel()
	s := newNameServer(t)
	s.set("_sluice._tcp.test", "b.test:2301", "a.test:2300", "a.test:2302")
	f := watch(t, s, "dns+srv://_sluice._tcp.test")
	f.finds("a.test:2300", "a.test:2302", "b.test:2301")
	s.set("_sluice._tcp.test", "c.test:1", ":9")
	f.finds("c.test:1")
}

// Names that fail, have no records, or do not exist any more keep the addresses that were found
// before. Each is logged once. The others are followed.
func TestFailuresKeepTheAnswer(t *testing.T) {
	t.Parallel()
	s := newNameServer(t)
	s.set("one.test", "10.0.0.1")
	f := watch(t, s, "dns://two.test:2", "dns://one.test:1")
	f.finds("10.0.0.1:1")
	f.await("the failure is logged", func() bool { return f.log.count("not found by their name") == 1 })
	s.set("two.test", "10.0.0.2")
	f.finds("10.0.0.2:2", "10.0.0.1:1")
	f.await("the end is logged", func() bool { return f.log.count("found by their name again") == 1 })

	asked := func(n int) {
		t.Helper()
		before, _ := s.counts()
		f.await("it asks again", func() bool { now, _ := s.counts(); return now >= before+n })
	}
	s.set("one.test")
	asked(12)
	s.change(func(s *nameServer) { delete(s.records, "one.test.") })
	asked(12)
	s.change(func(s *nameServer) { s.broken = true })
	asked(12)
	if n := f.log.count("not found by their name"); n != 3 {
		t.Errorf("%d failures are logged, of two names and one more at the start", n)
	}
	select {
	case got := <-f.lists:
		t.Errorf("found %v", got)
	default:
	}
	s.change(func(s *nameServer) { s.broken = false })
	s.set("one.test", "10.0.0.3")
	f.finds("10.0.0.2:2", "10.0.0.3:1")
}

// A lost link makes the next lookup come sooner. However many are lost, there is at most one lookup
// a second.
func TestLostLinkAsksSooner(t *testing.T) {
	t.Parallel()
	s := newNameServer(t)
	s.set("one.test", "10.0.0.1")
	d, err := discover.NewDNS(discover.DNSConfig{
		URLs: []string{"dns://one.test:1"}, Interval: time.Hour, Resolver: s.resolver(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	lists := make(chan []string, 1)
	ended := make(chan struct{})
	go func() { defer close(ended); d.Watch(ctx, func(addrs []string) { lists <- addrs }) }()
	<-lists
	began := time.Now()
	for i := range 3 {
		s.set("one.test", fmt.Sprintf("10.0.0.%d", i+2))
		for found := false; !found; {
			d.LinkLost()
			select {
			case <-lists:
				found = true
			case <-time.After(time.Millisecond):
			}
		}
	}
	took := time.Since(began)
	queries, _ := s.counts()
	// Each lookup asks for both families. Repeated queries only come from a resolver in a hurry.
	if most := 2 * (2 + int(took/time.Second)); queries > 2*most {
		t.Errorf("%d queries in %v", queries, took)
	}
	if took < 2500*time.Millisecond {
		t.Errorf("three lookups within %v", took)
	}
	cancel()
	<-ended
}

// A server that does not answer delays nothing for ever: Watch ends with its context.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	s := newNameServer(t)
	s.change(func(s *nameServer) { s.silent = true })
	f := watch(t, s, "dns://one.test:1")
	f.await("the failure is logged", func() bool { return f.log.count("not found by their name") == 1 })
	s.change(func(s *nameServer) { s.silent = false })
	s.set("one.test", "10.0.0.1")
	f.finds("10.0.0.1:1")
}

// What is no URL, or cannot be looked up, is refused before anything runs.
func TestURLs(t *testing.T) {
	t.Parallel()
	for url, good := range map[string]bool{
		"dns://gateways:2300": true, "dns://a.b.example.:1": true, "dns://[::1]:2300": true, "dns://10.0.0.1:65535": true,
		"dns+srv://_sluice._tcp.example": true,
		"":                               false, "gateways:2300": false, "dns://gateways": false, "dns://:2300": false,
		"dns://gateways:0": false, "dns://gateways:65536": false, "dns://gateways:http": false, "dns://a/b:1": false,
		"dns+srv://": false, "dns+srv://_sluice._tcp.example:2300": false, "srv://x": false, "dns://a:1/": false,
	} {
		_, err := discover.NewDNS(discover.DNSConfig{URLs: []string{url}})
		if (err == nil) != good || err != nil && !strings.Contains(err.Error(), "URLs") {
			t.Errorf("%q: %v", url, err)
		}
		if isURL := strings.HasPrefix(url, "dns"); discover.IsURL(url) != isURL {
			t.Errorf("IsURL(%q)", url)
		}
	}
	for name, cfg := range map[string]discover.DNSConfig{
		"URLs":     {},
		"Interval": {URLs: []string{"dns://a:1"}, Interval: time.Millisecond},
		"Timeout":  {URLs: []string{"dns://a:1"}, Timeout: -1},
	} {
		if _, err := discover.NewDNS(cfg); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzURL: no URL makes a panic, and what is accepted makes addresses that can be dialled.
func FuzzURL(f *testing.F) {
	for _, url := range []string{"dns://a:1", "dns+srv://_a._tcp.b", "dns://[::1]:2", "dns://", "dns+srv://:1"} {
		f.Add(url)
	}
	f.Fuzz(func(t *testing.T, url string) {
		_, err := discover.NewDNS(discover.DNSConfig{URLs: []string{url}})
		if address, ok := strings.CutPrefix(url, "dns://"); ok && err == nil {
			if _, _, err := net.SplitHostPort(address); err != nil {
				t.Errorf("%q is accepted: %v", url, err)
			}
		}
	})
}
