package gateway_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/link"
)

// TestScenarios plays the dialogues of testdata/*.txt. A file starts with a paragraph that says
// what it tests; then each line is a step:
//
//	gateway [OPTION=VALUE...]                  first, if the defaults do not fit; the options are
//	                                           loops, queuetimeout, maxunrouted, maxunacked,
//	                                           maxdeliveries, draintimeout, router (round),
//	                                           adoptrate (default: silent clients stay parked) and
//	                                           identity (UID,KEY=VALUE)
//	gateway drains                             it drains
//	worker NAME [window=N] [drains] [id=NAME]  opens a link to each loop; with drains it gets no
//	                                           clients; with the id of another worker it replaces
//	                                           that one
//	client NAME text|jsonl|frame|ws            connects
//	CLIENT sends TEXT | writes LINE | receives TEXT | closes | breaks | ends | leaves
//	                                           "receives closed" is the end of the connection; after
//	                                           a close frame it is "receives close CODE REASON"
//	WORKER ...                                 see scenarioWorker; WORKER@N uses the link to loop N,
//	                                           WORKER that to loop 0
//	figure NAME N                              waits until a field of LoopStats has the value
//
// TEXT is the rest of the line; *N behind its first word repeats it: x*1000.
func TestScenarios(t *testing.T) {
	t.Parallel()
	files, _ := filepath.Glob("testdata/*.txt")
	if len(files) == 0 {
		t.Fatal("no scenarios")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, steps, ok := strings.Cut(string(text), "\n\n")
			if !ok {
				t.Fatal("a scenario starts with a paragraph that says what it tests")
			}
			s := &scenario{T: t, clients: map[string]*fakeClient{}, workers: map[string]*fakeWorker{}}
			for step := range strings.Lines(steps) {
				if s.step = strings.TrimSpace(step); s.step != "" && s.step[0] != '#' {
					s.play()
				}
			}
		})
	}
}

// scenario is one file being played.
type scenario struct {
	*testing.T
	step    string
	g       *gateway.Gateway
	stop    func()
	clients map[string]*fakeClient
	workers map[string]*fakeWorker
	pings   uint32
}

func (s *scenario) fail(format string, args ...any) {
	s.Helper()
	s.Fatalf("%s: %s", s.step, fmt.Sprintf(format, args...))
}

func (s *scenario) play() {
	s.Helper()
	actor, rest, _ := strings.Cut(s.step, " ")
	if s.step == "gateway drains" {
		go s.stop()
		wait(s.T, s.step, func() bool { return s.g.Draining() })
		return
	}
	if actor == "gateway" {
		s.gateway(strings.Fields(rest))
		return
	}
	if s.g == nil {
		s.gateway(nil)
	}
	args := strings.Fields(rest)
	switch actor {
	case "worker":
		s.worker(args)
	case "client":
		s.client(args)
	case "figure":
		s.figure(args[0], args[1])
	default:
		name, loop, _ := strings.Cut(actor, "@")
		if c := s.clients[name]; c != nil {
			s.clientStep(c, rest)
		} else if w := s.workers[name]; w != nil {
			at, _ := strconv.Atoi(loop)
			scenarioWorker{s, w, w.links[at]}.play(rest)
		} else {
			s.fail("no client or worker has this name")
		}
	}
}

func (s *scenario) gateway(args []string) {
	cfg := gateway.Config{QueueTimeout: time.Minute, AdoptRate: -1}
	for _, l := range []string{"text", "jsonl", "frame", "ws"} {
		cfg.Listeners = append(cfg.Listeners, gateway.ListenerConfig{URL: l + "://127.0.0.1:0"})
	}
	for _, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		n, _ := strconv.Atoi(value)
		switch key {
		case "loops":
			cfg.Loops = n
		case "queuetimeout":
			cfg.QueueTimeout, _ = time.ParseDuration(value)
		case "draintimeout":
			cfg.DrainTimeout, _ = time.ParseDuration(value)
		case "maxunrouted":
			cfg.MaxUnroutedBytes = n
		case "maxunacked":
			cfg.MaxUnacked = n
		case "adoptrate":
			cfg.AdoptRate = n
		case "maxdeliveries":
			cfg.MaxDeliveries = n
		case "router":
			cfg.Router = gateway.RoundRobin
		case "identity": // of each WebSocket
			uid, attr, _ := strings.Cut(value, ",")
			key, value, _ := strings.Cut(attr, "=")
			cfg.Listeners[3].OnUpgrade = func(context.Context, *http.Request) (gateway.Identity, error) {
				return gateway.Identity{UID: uid, Attrs: map[string]string{key: value}}, nil
			}
		default:
			s.fail("unknown option %s", key)
		}
	}
	s.g, s.stop = start(s.T, cfg)
}

func (s *scenario) worker(args []string) {
	hello := link.WorkerHello{Role: link.RoleWorker, Weight: 100, Window: 1 << 20, Name: args[0]}
	copy(hello.ID[:], args[0])
	replaces := false
	drains := false
	for _, arg := range args[1:] {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "drains": // sends commands and queries, and gets no clients
			drains = true
		case "window":
			n, _ := strconv.Atoi(value)
			hello.Window = uint32(n)
		case "id":
			hello.ID = [16]byte{}
			copy(hello.ID[:], value)
			replaces = true
		}
	}
	workers := workerLinks(s.g)
	w := dialWorker(s.T, s.g.WorkerAddr(), nil, hello)
	if drains {
		asks(s.T, s.g, w)
	} else if !replaces {
		wait(s.T, s.step, func() bool { return workerLinks(s.g) == workers+len(w.links) })
	}
	s.workers[args[0]] = w
}

func (s *scenario) client(args []string) {
	for _, url := range s.g.Addrs() {
		if strings.HasPrefix(url, args[1]+":") {
			opened := s.g.Stats().Opened
			s.clients[args[0]] = dialClient(s.T, url)
			wait(s.T, s.step, func() bool { return s.g.Stats().Opened == opened+1 })
			return
		}
	}
	s.fail("no such listener")
}

func (s *scenario) clientStep(c *fakeClient, rest string) {
	s.Helper()
	verb, text, _ := strings.Cut(rest, " ")
	text = repeated(text)
	switch verb {
	case "sends":
		c.say(text)
	case "receives":
		if got := strings.TrimSpace(c.receive()); got != text {
			s.fail("it receives %q", short(got))
		}
	case "writes": // a line that its own codec would not send
		c.write([]byte(text + "\n"))
	case "closes":
		_ = c.conn.Close()
	case "breaks": // the connection, so that nothing can be sent to it
		_ = c.conn.(*net.TCPConn).SetLinger(0)
		_ = c.conn.Close()
	case "ends": // its side, and still reads
		_ = c.conn.(*net.TCPConn).CloseWrite()
	case "leaves": // with the close frame of the protocol, if it has one
		c.write(c.codec.AppendClose(nil, 1000, ""))
	default:
		s.fail("unknown step")
	}
}

// figure waits until a field of the gateway's LoopStats has a value.
func (s *scenario) figure(name, value string) {
	s.Helper()
	var got string
	if !eventually(func() bool {
		got = fmt.Sprint(reflect.ValueOf(s.g.Stats().LoopStats).FieldByName(name))
		return got == value
	}) {
		s.fail("it is %s", got)
	}
}

// repeated expands x*3.
func repeated(text string) string {
	if i := strings.LastIndexByte(text, '*'); i > 0 {
		if n, err := strconv.Atoi(text[i+1:]); err == nil {
			return strings.Repeat(text[:i], n)
		}
	}
	return text
}

func short(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}
