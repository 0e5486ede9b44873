package stats_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/proctest"
)

const (
	token    = "a-token-of-the-tests"
	reporter = "a-token-that-only-reports"
)

// node is a process with statistics.
type node struct {
	*proctest.Process
	t     *testing.T
	bin   string
	file  string // of the token of operators
	admin string // URL
}

// tokenFile makes a file with tokens, of which the first is sent.
func tokenFile(t *testing.T, lines string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(name, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// start starts a server with an admin listener, and other addresses that the system picks.
func start(t *testing.T, command, admin string, args ...string) *node {
	t.Helper()
	args = append(args, "--listen", "text://127.0.0.1:0")
	if command == "gateway" {
		args = append(args, "--inner", "127.0.0.1:0")
	}
	return startAt(t, command, admin, args...)
}

// startAt starts a server with an admin listener.
func startAt(t *testing.T, command, admin string, args ...string) *node {
	t.Helper()
	n := &node{t: t, bin: proctest.Build(t), file: tokenFile(t, "ops "+token+"\nnode "+reporter+" report\n")}
	n.Process = proctest.Start(t, nil, n.bin,
		append([]string{command, "--admin", admin, "--admin-token-file", n.file}, args...)...)
	n.admin = "http://" + strings.TrimPrefix(n.Addrs["admin"], "admin://")
	return n
}

// run runs a command of operators.
func (n *node) run(args ...string) (out string, code int) {
	n.t.Helper()
	cmd := exec.Command(n.bin, args...)
	cmd.Env = append(os.Environ(), "SLUICE_ADMIN="+n.admin, "SLUICE_ADMIN_TOKEN_FILE="+n.file)
	b, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		n.t.Fatal(err)
	}
	return string(b), cmd.ProcessState.ExitCode()
}

// row is a row of sluice stat --json.
type row struct {
	Module, Interface string
	Count, Success    uint64
	Codes             map[string]uint64
	Latency           struct{ Mean, P50, P90, P95, P99, Max float64 }
}

// rows returns what sluice stat says of the last three hours, and "" as name for all together.
func (n *node) rows() map[string]row {
	n.t.Helper()
	out, code := n.run("stat", "--json", "--from", "-3h")
	var s struct{ Rows []row }
	if err := json.Unmarshal([]byte(out), &s); err != nil || code != 0 {
		n.t.Fatalf("exit code %d, %v: %s", code, err, out)
	}
	all := make(map[string]row)
	sum := row{Codes: make(map[string]uint64)}
	for _, r := range s.Rows {
		all[r.Module+"/"+r.Interface] = r
		sum.Count += r.Count
		sum.Success += r.Success
	}
	all[""] = sum
	return all
}

// datagram is a report of a call as PHP's pack('CCfCNnN') makes it on a little-endian machine.
func datagram(module, iface string, seconds float32, success bool, code uint32, text string) []byte {
	b := []byte{byte(len(module)), byte(len(iface))}
	b = binary.LittleEndian.AppendUint32(b, math.Float32bits(seconds))
	b = append(b, map[bool]byte{true: 1}[success])
	b = binary.BigEndian.AppendUint32(b, code)
	b = binary.BigEndian.AppendUint16(b, uint16(len(text)))
	b = binary.BigEndian.AppendUint32(b, uint32(time.Now().Unix()))
	return append(append(append(b, module...), iface...), text...)
}

// report sends n datagrams of calls of 10 ms, of which each tenth has failed with code 503. It
// pauses now and then, so that the system drops none.
func report(t *testing.T, n *node, calls int) {
	t.Helper()
	c, err := net.Dial("udp", n.Addrs["udp"])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range calls {
		b := datagram("shop", "buy", 0.01, true, 0, "")
		if i%10 == 9 {
			b = datagram("shop", "buy", 0.01, false, 503, fmt.Sprintf("no stock of %d\n", i))
		}
		if _, err := c.Write(b); err != nil {
			t.Fatal(err)
		}
		if i%50 == 49 {
			time.Sleep(2 * time.Millisecond)
		}
	}
}

// What a PHP program reports is what operators see, in whole numbers, also after the process was
// killed and started again.
func TestDatagrams(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	n := start(t, "chat", "127.0.0.1:0", "--data", data, "--stat-udp", "127.0.0.1:0")
	report(t, n, 1000)
	proctest.Await(t, "the figures", func() bool { return n.rows()["shop/buy"].Count >= 1000 })
	check := func() {
		t.Helper()
		r := n.rows()["shop/buy"]
		if r.Count != 1000 || r.Success != 900 || r.Codes["503"] != 100 || len(r.Codes) != 1 {
			t.Errorf("%+v", r)
		}
		l := r.Latency
		if l.P50 < 0.0099 || l.P99 > 0.01*17/16 || l.Max < 0.0099 || l.Max > 0.0101 || l.Mean > 0.0101 {
			t.Errorf("%+v", l)
		}
	}
	check()
	out, code := n.run("stat")
	for _, part := range []string{"MODULE", "shop", "90.00%", "503: 100"} {
		if !strings.Contains(out, part) || code != 0 {
			t.Errorf("%d, no %q in\n%s", code, part, out)
		}
	}
	out, _ = n.run("stat", "--series", "--module", "shop", "--from", "-10m")
	if strings.Count(out, "\n") < 11 || !strings.Contains(out, "90.00%") {
		t.Errorf("%s", out)
	}
	out, _ = n.run("stat", "--failures", "--code", "503", "--text", "STOCK OF 499", "--addr", "127.0.0.1")
	if strings.Count(out, "\n") != 2 || !strings.Contains(out, `no stock of 499\n`) {
		t.Errorf("%s", out)
	}
	n.Kill()
	n = start(t, "chat", "127.0.0.1:0", "--data", data, "--stat-udp", "127.0.0.1:0")
	check()
	if code := n.Terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// freeAddr returns an address where a process can listen again after it was killed.
func freeAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// Of three gateways one keeps what all receive. It is killed again and again while they report; the
// figures are exact, and each gateway says where they are.
func TestOneOfThreeKeeps(t *testing.T) {
	t.Parallel()
	data, addr := t.TempDir(), freeAddr(t)
	keep := func() *node { return start(t, "gateway", addr, "--data", data) }
	keeper := keep()
	secret := tokenFile(t, reporter+"\n")
	var others []*node
	for range 2 {
		others = append(others, start(t, "gateway", "127.0.0.1:0", "--stat-udp", "127.0.0.1:0", "--stats-to", keeper.admin,
			"--stats-to-token-file", secret))
	}
	const rounds, each = 5, 400
	for range rounds {
		for _, o := range others {
			report(t, o, each/2)
		}
		time.Sleep(300 * time.Millisecond) // somewhere between a report and its answer
		keeper.Kill()
		for _, o := range others {
			report(t, o, each/2)
		}
		keeper = keep()
	}
	const want = rounds * each * 2
	proctest.Await(t, "the figures", func() bool { return keeper.rows()["shop/buy"].Count >= want })
	if r := keeper.rows()["shop/buy"]; r.Count != want || r.Success != want/10*9 || r.Codes["503"] != want/10 {
		t.Errorf("%+v, want %d calls", r, want)
	}
	if out, code := others[0].run("stat"); code != 1 || !strings.Contains(out, "ask "+keeper.admin) {
		t.Errorf("%d: %s", code, out)
	}
}
