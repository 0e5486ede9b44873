package logs_test

import (
	"bufio"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/internal/proctest"
	"github.com/seed-7410fe32/sluice/worker"
)

// smallPipe returns a pipe that takes 4 KiB until it is read.
func smallPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err == nil {
		_, err = unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 4096)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	return r, w
}

// deadPipe is a pipe whose reader is gone.
func deadPipe(t *testing.T) *os.File {
	t.Helper()
	r, w := smallPipe(t)
	_ = r.Close()
	return w
}

// fullDisk is a file on a disk that is full.
func fullDisk(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// linkTimes opens links to a gateway and ends them, which it logs, in two lines each.
func linkTimes(t *testing.T, inner string, times int) {
	t.Helper()
	for range times {
		c, err := net.Dial("tcp", inner)
		if err != nil {
			t.Error(err)
			return
		}
		hello := link.WorkerHello{Role: link.RoleWorker, Window: 1 << 20, ID: [16]byte{1}} // of weight 0
		if _, err := link.Connect(c, nil, hello); err != nil {
			t.Error(err)
		}
		c.Close()
	}
}

var anyPorts = []string{"--listen", "text://127.0.0.1:0", "--inner", "127.0.0.1:0"}

// unread starts a gateway whose log is a full pipe without a reader.
func unread(t *testing.T, args ...string) (gateway *proctest.Process, log *os.File) {
	t.Helper()
	log, stderr := smallPipe(t)
	args = append(append([]string{"gateway", "--reactors", "1", "--log-rate=-1"}, anyPorts...), args...)
	gateway = proctest.StartTo(t, stderr, proctest.Build(t), args...)
	_ = stderr.Close()
	linkTimes(t, gateway.Addrs["inner"], 50)
	return gateway, log
}

// echoing is a client of a gateway that has a worker in this process.
func echoing(t *testing.T, gateway *proctest.Process) net.Conn {
	t.Helper()
	proctest.StartWorker(t, gateway.Addrs["inner"], func() {}, func(c worker.Call, m worker.Message) {
		c.Send(m)
	})
	return proctest.Dial(t, gateway.Addrs["text"])
}

// A log without a reader delays no client. When it is read, each line is there, or counted as
// lost.
func TestUnreadLog(t *testing.T) {
	t.Parallel()
	gateway, log := unread(t)
	client := echoing(t, gateway)
	const each, at, least = 1500, 4, 2 * 50
	began := time.Now()
	for range 10 { // 1 MiB and more
		var linking sync.WaitGroup
		for range at {
			linking.Go(func() { linkTimes(t, gateway.Addrs["inner"], each/10) })
		}
		linking.Wait()
		proctest.Echoes(t, client, "still there")
	}
	t.Logf("%d links in %v", each*at, time.Since(began))

	lines := bufio.NewScanner(log)
	links, lost := 0, 0
	count := func(until string) {
		for lines.Scan() {
			l := lines.Text()
			if !strings.HasPrefix(l, "time=") {
				t.Errorf("a line that is not whole: %s", l)
			}
			if m := regexp.MustCompile(`msg="log lines lost" count=(\d+)$`).FindStringSubmatch(l); m != nil {
				n, _ := strconv.Atoi(m[1])
				lost += n
			}
			if strings.Contains(l, `msg="link `) {
				links++
			}
			if until != "" && strings.Contains(l, until) {
				return
			}
		}
	}
	count("log lines lost")
	proctest.Echoes(t, client, "still there")
	_ = client.Close()
	gateway.Signal(syscall.SIGTERM)
	count("")
	if code := gateway.ExitCode(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	t.Logf("%d lines of links were read, %d lines were lost", links, lost)
	if all := 2*(each*at) + least; lost == 0 || links+lost < all {
		t.Errorf("%d lines of links were read, %d lines were lost, of %d", links, lost, all)
	}
}

// A log without a reader does not keep a process from ending.
func TestUnreadLogAtTheEnd(t *testing.T) {
	t.Parallel()
	t.Run("drained", func(t *testing.T) {
		t.Parallel()
		gateway, _ := unread(t)
		client := echoing(t, gateway)
		proctest.Echoes(t, client, "hello")
		_ = client.Close()
		if code := gateway.Terminate(); code != 0 {
			t.Errorf("exit code %d", code)
		}
	})
	t.Run("second signal", func(t *testing.T) {
		t.Parallel()
		gateway, _ := unread(t, "--drain-timeout", "10m")
		inside, release := make(chan struct{}), make(chan struct{})
		proctest.StartWorker(t, gateway.Addrs["inner"], func() { close(release) }, func(worker.Call, worker.Message) {
			close(inside)
			<-release
		})
		if _, err := proctest.Dial(t, gateway.Addrs["text"]).Write([]byte("take your time\n")); err != nil {
			t.Fatal(err)
		}
		<-inside
		gateway.Signal(syscall.SIGTERM)
		proctest.Await(t, "the drain", func() bool {
			c, err := net.Dial("tcp", gateway.Addrs["text"])
			if err == nil {
				c.Close()
			}
			return err != nil
		})
		gateway.Signal(syscall.SIGTERM)
		if code := gateway.ExitCode(); code != 143 {
			t.Errorf("exit code %d", code)
		}
	})
}

// A log that cannot be written, because its reader is gone or the disk is full, harms no server.
func TestUnwritableLog(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	type file = func(*testing.T) *os.File
	for name, stderr := range map[string]file{"reader gone": deadPipe, "disk full": fullDisk} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := func(command string, flags ...string) *proctest.Process {
				return proctest.StartTo(t, stderr(t), bin, append(strings.Fields(command), flags...)...)
			}
			for _, args := range []string{"gateway and worker", "echo", "echo --workers 2", "chat"} {
				t.Run(args, func(t *testing.T) {
					t.Parallel()
					var servers []*proctest.Process
					if args == "gateway and worker" {
						gateway := start("gateway", anyPorts...)
						servers = append(servers, gateway, start("echo --worker", "--gateway", gateway.Addrs["inner"]))
					} else {
						servers = append(servers, start(args, "--listen", "text://127.0.0.1:0"))
					}
					client := proctest.Dial(t, servers[0].Addrs["text"])
					if args != "chat" {
						proctest.Echoes(t, client, "hello")
					}
					_ = client.Close()
					for _, p := range servers {
						if code := p.Terminate(); code != 0 {
							t.Errorf("process %d: exit code %d", p.PID, code)
						}
					}
				})
			}
		})
	}
}

// When the reader of the log dies, the parent of the workers and the workers live on.
func TestLogReaderDies(t *testing.T) {
	t.Parallel()
	log, stderr := smallPipe(t)
	bin := proctest.Build(t)
	server := proctest.StartTo(t, stderr, bin, "echo", "--workers", "2", "--listen", "text://127.0.0.1:0")
	_ = stderr.Close()
	var pids []int
	for lines := bufio.NewScanner(log); len(pids) < 2 && lines.Scan(); {
		if m := regexp.MustCompile(`msg="worker ready".* pid=(\d+)`).FindStringSubmatch(lines.Text()); m != nil {
			pid, _ := strconv.Atoi(m[1])
			pids = append(pids, pid)
		}
	}
	_ = log.Close()
	client := proctest.Dial(t, server.Addrs["text"])
	proctest.Echoes(t, client, "before")
	server.Signal(syscall.SIGHUP) // each process has something to say
	for _, pid := range pids {
		proctest.Await(t, "the worker is replaced", func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH })
	}
	proctest.Echoes(t, client, "after")
	_ = client.Close()
	if code := server.Terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// The ready line delays nothing, neither when standard output is full nor when its reader is
// gone.
func TestReadyLineIsNotRead(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	gateway := proctest.Start(t, nil, bin, "gateway", "--listen", "text://127.0.0.1:0",
		"--inner", "127.0.0.1:0", "--reactors", "1")
	for name, test := range map[string]struct{ args, said string }{
		"gateway":    {"gateway --listen text://127.0.0.1:0 --inner 127.0.0.1:0", "no key"},
		"all in one": {"echo --listen text://127.0.0.1:0", "link open"},
		"supervisor": {"echo --workers 1 --listen text://127.0.0.1:0", "worker ready"},
		"worker":     {"echo --worker --gateway " + gateway.Addrs["inner"], "link open"},
	} {
		for _, gone := range []bool{false, true} {
			name, said := name, test.said
			if gone {
				name, said = name+", reader gone", "ready line was not written"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				out, stdout := smallPipe(t)
				if gone {
					_ = out.Close()
				} else if _, err := stdout.Write(make([]byte, 4096)); err != nil {
					t.Fatal(err)
				}
				log, stderr, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = log.Close() }()
				cmd := exec.Command(bin, strings.Fields(test.args)...)
				cmd.Stdout, cmd.Stderr = stdout, stderr
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				_, _ = stdout.Close(), stderr.Close()
				late := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
				defer late.Stop()
				lines := bufio.NewScanner(log)
				for lines.Scan() && !strings.Contains(lines.Text(), said) {
				}
				if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
				go func() { _, _ = io.Copy(io.Discard, log) }()
				if err := cmd.Wait(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}
