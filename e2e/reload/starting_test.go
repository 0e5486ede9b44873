package reload_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// held starts a command that reads its key from a pipe, and returns while it waits for the key:
// it has begun and serves nothing yet. goOn gives it the key, which its children find in a file.
func held(t *testing.T, cmd *exec.Cmd) (goOn func()) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd.Args = append(cmd.Args, "--key-file", path)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	pipe, err := os.OpenFile(path, os.O_WRONLY, 0) // waits for the reader
	if err == nil {
		err = os.WriteFile(path+".file", []byte("a key of more than sixteen bytes"), 0o600)
	}
	if err == nil {
		err = os.Rename(path+".file", path)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		_, err := pipe.WriteString("a key of more than sixteen bytes")
		if err != nil && !errors.Is(err, syscall.EPIPE) { // the command may have ended
			t.Error(err)
		}
		_ = pipe.Close()
	}
}

// ends waits for a command's end; 0 is the signal of one that ended by itself.
func ends(t *testing.T, cmd *exec.Cmd) (code int, by syscall.Signal) {
	t.Helper()
	late := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	_ = cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return -1, status.Signal()
	}
	return cmd.ProcessState.ExitCode(), 0
}

// A signal during the start of a command has the same effect as later: SIGHUP replaces workers
// if there are any, and ends other commands; SIGTERM and SIGINT drain.
func TestSignalsWhileStarting(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	quiet := []string{"--listen", "text://127.0.0.1:0", "--inner", "127.0.0.1:0", "--reactors", "1"}
	workers := append([]string{"echo", "--workers", "2"}, quiet...)
	for _, c := range []struct {
		name   string
		args   []string
		signal syscall.Signal
		code   int
		by     syscall.Signal
	}{
		{"SIGTERM to workers", workers, syscall.SIGTERM, 0, 0},
		{"SIGINT to workers", workers, syscall.SIGINT, 0, 0},
		{"SIGTERM to a gateway", append([]string{"gateway"}, quiet...), syscall.SIGTERM, 0, 0},
		{"SIGHUP to a gateway", append([]string{"gateway"}, quiet...), syscall.SIGHUP, -1, syscall.SIGHUP},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(bin, c.args...)
			goOn := held(t, cmd)
			if err := cmd.Process.Signal(c.signal); err != nil {
				t.Fatal(err)
			}
			goOn()
			if code, by := ends(t, cmd); code != c.code || by != c.by {
				t.Errorf("exit code %d, signal %v; want %d, %v", code, by, c.code, c.by)
			}
		})
	}
	t.Run("SIGHUP under nohup", func(t *testing.T) {
		t.Parallel()
		cmd := exec.Command("/bin/sh", append([]string{"-c", `trap "" HUP; exec "$0" "$@"`, bin, "gateway"}, quiet...)...)
		goOn := held(t, cmd)
		for _, s := range []syscall.Signal{syscall.SIGHUP, syscall.SIGTERM} {
			if err := cmd.Process.Signal(s); err != nil {
				t.Fatal(err)
			}
		}
		goOn()
		if code, by := ends(t, cmd); code != 0 || by != 0 {
			t.Errorf("exit code %d, signal %v", code, by)
		}
	})
	t.Run("SIGHUP to workers", func(t *testing.T) {
		t.Parallel()
		log, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = log.Close() }()
		cmd := exec.Command(bin, workers...)
		cmd.Stderr = log
		goOn := held(t, cmd)
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		goOn()
		proctest.AwaitFile(t, log.Name(), "msg=reloaded", 1)
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if code, by := ends(t, cmd); code != 0 || by != 0 {
			t.Errorf("exit code %d, signal %v", code, by)
		}
	})
}
