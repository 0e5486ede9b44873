package deploy_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// units returns the units by name.
func units(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../../deploy/systemd/*.service")
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	all := make(map[string]string)
	for _, name := range files {
		all[filepath.Base(name)] = read(t, "systemd/"+filepath.Base(name))
	}
	return all
}

// systemd accepts the units and finds them hardened.
func TestUnitsAreValid(t *testing.T) {
	t.Parallel()
	analyze := need(t, "systemd-analyze")
	dir := t.TempDir()
	for name, text := range units(t) {
		// Programs and users that a unit names must be there.
		text = strings.NewReplacer("/usr/local/bin/sluice", "/bin/true", "User=sluice", "User=root",
			"Group=sluice", "Group=root").Replace(text)
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(analyze, "verify", "--man=no", path).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		text = strings.NewReplacer("User=root", "User=daemon", "Group=root", "Group=daemon").Replace(text)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		// 2.5 of 10, where 10 is the most exposed.
		out, err := exec.Command(analyze, "security", "--offline=true", "--threshold=25", path).CombinedOutput()
		if err != nil && !strings.Contains(string(out), "unrecognized option") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

// The units have what the program needs: a notification, a reload, descriptors, time to drain.
func TestUnitsFitTheProgram(t *testing.T) {
	t.Parallel()
	for name, text := range units(t) {
		for _, want := range []string{
			"Type=notify", "ExecReload=/bin/kill -HUP $MAINPID", "KillMode=mixed", "TimeoutStopSec=60s",
			"NoNewPrivileges=yes", "ProtectSystem=strict", "SystemCallFilter=@system-service", "User=sluice",
		} {
			if !strings.Contains(text, "\n"+want+"\n") {
				t.Errorf("%s has no %s", name, want)
			}
		}
		if !regexp.MustCompile(`\nLimitNOFILE=\d+\n`).MatchString(text) {
			t.Errorf("%s has no LimitNOFILE", name)
		}
		if strings.Contains(text, "\nMemoryDenyWriteExecute=yes") {
			t.Errorf("%s: the program does not start with MemoryDenyWriteExecute", name)
		}
	}
}

// manager is the socket of a service manager.
func manager(t *testing.T) (path string, states <-chan string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	all := make(chan string, 64)
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 256)
		for {
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			state, _, _ := strings.Cut(string(b[:n]), "\n")
			all <- state
		}
	}()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return path, all
}

// The service manager learns when the process is ready, reloads and stops. Its workers say nothing
// to it.
func TestServiceManagerIsNotified(t *testing.T) {
	t.Parallel()
	path, states := manager(t)
	expect := func(want string) {
		t.Helper()
		select {
		case got := <-states:
			if got != want {
				t.Errorf("%s, want %s", got, want)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("no %s", want)
		}
	}
	settings := filepath.Join(t.TempDir(), "sluice.yaml")
	if err := os.WriteFile(settings, []byte("workers: 2\nlisten: text://127.0.0.1:0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := proctest.Start(t, []string{"NOTIFY_SOCKET=" + path}, proctest.Build(t), "echo", "--config", settings)
	expect("READY=1")
	server.Signal(syscall.SIGHUP)
	expect("RELOADING=1")
	expect("READY=1")
	server.AwaitLog("msg=reloaded", 1)
	if code := server.Terminate(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	expect("STOPPING=1")
	select {
	case more := <-states:
		t.Errorf("one more state: %s", more)
	default:
	}
}
