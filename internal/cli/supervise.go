package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-7410fe32/sluice/internal/childproc"
	"github.com/seed-7410fe32/sluice/internal/supervisor"
)

// hangUps are the SIGHUPs of this process: one waits while a reload is under way.
type hangUps chan os.Signal

// canReload marks, as an annotation, the commands that replace their workers.
const canReload = "reload"

// reloads reports whether SIGHUP replaces the command's workers, and does not end it.
func reloads(c *cobra.Command) bool {
	_, can := c.Annotations[canReload]
	n, err := c.Flags().GetInt("workers")
	return can && err == nil && n > 0
}

// release has SIGHUP end the process, or not (nohup), as it did before it was caught; one that has come does so now.
func (h hangUps) release() {
	signal.Reset(syscall.SIGHUP)
	select {
	case <-h:
		_ = syscall.Kill(os.Getpid(), syscall.SIGHUP)
	default:
	}
}

// superviseWorkers runs --workers processes of this program, each a worker, until ctx ends. SIGHUP replaces them one by one: a new one is started from what is then at the
// program's path, and when it is ready the old one drains.
func (o *options) superviseWorkers(ctx context.Context, gateways []string, up func()) error {
	program, err := exec.LookPath(os.Args[0]) // and not os.Executable, which follows a link to the release it led to when this process started
	if err == nil {
		program, err = filepath.Abs(program)
	}
	if err != nil {
		return fmt.Errorf("supervise: %w", err)
	}
	return supervisor.Run(ctx, supervisor.Config{
		N: o.workers, Ready: up, StopWithin: o.drainFor + 5*time.Second, Logger: o.log,
		Command: func(place int) *exec.Cmd { return o.workerProcess(program, place, gateways) },
	}, o.reload)
}

// workerProcess is this command line once more, as one worker.
func (o *options) workerProcess(program string, place int, gateways []string) *exec.Cmd {
	args := append(os.Args[1:len(os.Args):len(os.Args)], "--workers=0", fmt.Sprintf("--name=%s-%d", o.workerName(), place))
	if !o.worker {
		args = append(args, "--worker", "--gateway="+strings.Join(gateways, ","))
	}
	cmd := exec.Command(program, args...)
	cmd.Stderr = os.Stderr
	childproc.ExitWithParent(cmd)
	return cmd
}

func (o *options) workerName() string {
	if o.name != "" {
		return o.name
	}
	host, _ := os.Hostname()
	return host
}

// followParent has this process drain when standard input ends, or end at once when it drains already.
func followParent() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
}
