package stat_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/worker"
	"github.com/seed-7410fe32/sluice/worker/stat"
)

var _ stat.Recorder = (*worker.Worker)(nil)

// golden are datagrams and what the original makes of them.
var golden = []struct {
	d   stat.Datagram
	hex string
}{
	{stat.Datagram{Module: "User", Interface: "login", Took: 250 * time.Millisecond, Success: true,
		Time: time.Unix(1_760_000_000, 0)}, "04050000803e0100000000000068e77800557365726c6f67696e"},
	{stat.Datagram{Module: "User", Interface: "login", Took: 1500 * time.Millisecond, Code: 4711, Text: "out of stock",
		Time: time.Unix(1_760_000_001, 0)},
		"04050000c03f0000001267000c68e77801557365726c6f67696e6f7574206f662073746f636b"},
	{stat.Datagram{Module: "чат", Interface: "m", Took: 100 * time.Microsecond, Text: "x",
		Time: time.Unix(math.MaxUint32, 0)}, "060117b7d13800000000000001ffffffffd187d0b0d1826d78"},
	{stat.Datagram{Code: math.MaxUint32, Time: time.Unix(0, 0)}, "00000000000000ffffffff000000000000"},
}

func TestGoldenDatagrams(t *testing.T) {
	t.Parallel()
	for _, c := range golden {
		if got := hex.EncodeToString(c.d.Append(nil)); got != c.hex {
			t.Errorf("%+v is\n%s, want\n%s", c.d, got, c.hex)
		}
		b, _ := hex.DecodeString(c.hex)
		d, err := stat.ReadDatagram(b)
		d.Took = d.Took.Round(time.Microsecond) // a float32
		if err != nil || d != c.d {
			t.Errorf("%s is %+v, want %+v, %v", c.hex, d, c.d, err)
		}
		for n := range b {
			if _, err := stat.ReadDatagram(b[:n]); !errors.Is(err, stat.ErrDatagram) {
				t.Errorf("%d bytes of %s: %v", n, c.hex, err)
			}
		}
		if _, err := stat.ReadDatagram(append(b, 0)); !errors.Is(err, stat.ErrDatagram) {
			t.Errorf("a byte more than %s: %v", c.hex, err)
		}
	}
}

// PHP writes the golden datagrams.
func TestPHPWritesTheSame(t *testing.T) {
	t.Parallel()
	php, err := exec.LookPath("php")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("CI without php-cli")
		}
		t.Skip("NOT TESTED: that PHP writes the golden datagrams; install php-cli")
	}
	var in []any
	var want []string
	for _, c := range golden {
		in = append(in, []any{
			c.d.Module, c.d.Interface, c.d.Took.Seconds(), c.d.Success, c.d.Code, c.d.Text, c.d.Time.Unix(),
		})
		want = append(want, c.hex)
	}
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), php, "testdata/datagrams.php")
	cmd.Stdin = bytes.NewReader(text)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(string(out)); !slices.Equal(got, want) {
		t.Errorf("PHP writes %q\nwant %q", got, want)
	}
}

// What is too long is cut, so that the datagram can be sent and read.
func TestLongDatagrams(t *testing.T) {
	t.Parallel()
	long := stat.Datagram{Module: strings.Repeat("m", 300), Interface: strings.Repeat("i", 256),
		Text: strings.Repeat("t", 70_000), Took: time.Hour, Time: time.Unix(1, 0)}
	b := long.Append([]byte("before"))[len("before"):]
	d, err := stat.ReadDatagram(b)
	if err != nil || len(b) != 65_507 || len(d.Module) != 255 || len(d.Interface) != 255 ||
		len(d.Text) != 65_507-17-510 || d.Took != time.Hour {
		t.Errorf("%d bytes, names of %d and %d, text of %d: %v", len(b), len(d.Module), len(d.Interface), len(d.Text), err)
	}
}

func TestStrangeTimes(t *testing.T) {
	t.Parallel()
	for seconds, want := range map[float32]time.Duration{
		-1: 0, float32(math.Copysign(0, -1)): 0, 1e-9: 1, 1e30: 1e18, 0.5: time.Second / 2,
	} {
		b := (&stat.Datagram{}).Append(nil)
		binary.LittleEndian.PutUint32(b[2:], math.Float32bits(seconds))
		if d, err := stat.ReadDatagram(b); err != nil || d.Took != want {
			t.Errorf("%v seconds are %v, want %v, %v", seconds, d.Took, want, err)
		}
	}
	for _, seconds := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		b := (&stat.Datagram{}).Append(nil)
		binary.LittleEndian.PutUint32(b[2:], math.Float32bits(float32(seconds)))
		if _, err := stat.ReadDatagram(b); !errors.Is(err, stat.ErrDatagram) {
			t.Errorf("%v seconds: %v", seconds, err)
		}
	}
}

type outOfStock struct{}

func (outOfStock) Error() string { return "out of stock" }
func (outOfStock) Code() int     { return 4711 }

// book is a Recorder.
type book []string

func (b *book) Record(module, name string, took time.Duration, code uint32, addr, text string) {
	*b = append(*b, fmt.Sprint(module, "/", name, " ", code, " ", addr, text, " ", took >= 0 && took < time.Minute))
}

// use makes calls of all kinds.
func use(r *stat.Reporter) {
	r.Tick("shop", "buy").Done(nil)
	r.Tick("shop", "buy").Done(fmt.Errorf("buy: %w", outOfStock{}))
	r.Tick("shop", "buy").Done(os.ErrDeadlineExceeded)
	r.Tick("shop", "look").Report(true, 7, "is not kept")
	r.Tick("shop", "look").Report(false, 0, "why not")
}

func TestReportsToAWorker(t *testing.T) {
	t.Parallel()
	var b book
	r, err := stat.New(stat.Config{Worker: &b})
	if err != nil {
		t.Fatal(err)
	}
	use(r)
	want := book{"shop/buy 0  true", "shop/buy 4711 buy: out of stock true", "shop/buy 504 i/o timeout true",
		"shop/look 0  true", "shop/look 1 why not true"}
	if !slices.Equal(b, want) || r.Close() != nil || r.Lost() != 0 {
		t.Errorf("%q\nwant %q", b, want)
	}
}

func TestReportsByUDP(t *testing.T) {
	t.Parallel()
	at, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r, err := stat.New(stat.Config{Addr: at.LocalAddr().String()})
	if err != nil {
		t.Fatal(err)
	}
	use(r)
	var got []string
	for range 5 {
		b := make([]byte, 1024)
		_ = at.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, _, err := at.ReadFrom(b)
		if err != nil {
			t.Fatal(err)
		}
		d, err := stat.ReadDatagram(b[:n])
		if ago := time.Since(d.Time); err != nil || ago < -time.Second || ago > time.Minute || d.Took > time.Minute {
			t.Errorf("%+v, %v", d, err)
		}
		got = append(got, fmt.Sprint(d.Interface, " ", d.Success, " ", d.Code, " ", d.FailureCode(), " ", d.Text))
	}
	want := []string{"buy true 0 0 ", "buy false 4711 4711 buy: out of stock", "buy false 504 504 i/o timeout",
		"look true 7 0 is not kept", "look false 0 1 why not"}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
	// Nobody receives any more: calls go on, and what the system refuses is counted.
	_ = at.Close()
	for end := time.Now().Add(10 * time.Second); r.Lost() == 0 && time.Now().Before(end); {
		use(r)
	}
	if err := r.Close(); r.Lost() == 0 || err != nil {
		t.Errorf("%d datagrams were lost, %v", r.Lost(), err)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for _, cfg := range []stat.Config{{}, {Worker: &book{}, Addr: "127.0.0.1:1"}, {Addr: "127.0.0.1"}, {Addr: "a b:1"}} {
		if r, err := stat.New(cfg); err == nil {
			t.Errorf("%+v: %v", cfg, r)
		}
	}
}

// A report to a worker allocates nothing.
func TestReportsDoNotAllocate(t *testing.T) {
	r, err := stat.New(stat.Config{Worker: nothing{}})
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(1000, func() { r.Tick("shop", "buy").Done(nil) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

type nothing struct{}

func (nothing) Record(string, string, time.Duration, uint32, string, string) {}

// FuzzReadDatagram checks that what is read is written as the same, unless the time is strange.
func FuzzReadDatagram(f *testing.F) {
	for _, c := range golden {
		b, _ := hex.DecodeString(c.hex)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := stat.ReadDatagram(b)
		if err != nil {
			return
		}
		again := d.Append(nil)
		if len(b) > 65_507 || d.Took < 0 {
			t.Skip("longer than a datagram")
		}
		second, err := stat.ReadDatagram(again)
		if err != nil || second.Took < d.Took-time.Duration(float64(d.Took)/1e6)-1 || second.Module != d.Module ||
			second.Text != d.Text || second.Code != d.Code || second.Success != d.Success || !second.Time.Equal(d.Time) {
			t.Fatalf("%+v\nagain %+v, %v", d, second, err)
		}
	})
}
