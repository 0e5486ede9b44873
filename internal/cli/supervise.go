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
	"github.com/seed-7410fe32/sluice/internal/config"
	"github.com/seed-7410fe32/sluice/internal/sdnotify"
	"github.com/seed-7410fe32/sluice/internal/supervisor"
)

// hangUps receives the SIGHUPs of this process. One waits while a reload runs.
type hangUps chan os.Signal

// canReload is the annotation of commands that can replace their workers.
const canReload = "reload"

// reloads reports whether SIGHUP makes the command read its configuration or certificates again, or
// replaces its workers, instead of ending it. A process that ends with its parent ignores it.
func reloads(c *cobra.Command) bool {
	_, can := c.Annotations[canReload]
	n, err := c.Flags().GetInt("workers")
	o := optionsOf(c)
	keeps := o != nil && (o.exitWithParent || o.config.path != "" || o.tls.given() || o.tokens.hasKeys() ||
		o.stats.alerts != "" || o.admin != "" && (o.adminPair.Cert != "" || o.adminTokenFile != ""))
	return can && err == nil && n > 0 || keeps
}

// release restores the effect that SIGHUP had before it was caught: to end the process, or none
// (nohup). A signal that has already been received has this effect now.
func (h hangUps) release() {
	signal.Reset(syscall.SIGHUP)
	select {
	case <-h:
		_ = syscall.Kill(os.Getpid(), syscall.SIGHUP)
	default:
	}
}

// superviseWorkers runs --workers processes of this program, each with one worker, until ctx is
// done. A value of replace replaces them one by one: it starts a new process from the file that is
// then at the program's path, and when the new one is ready the old one drains.
func (o *options) superviseWorkers(
	ctx context.Context, gateways []string, up func(), replace <-chan struct{},
) error {
	// Not os.Executable: it resolves symbolic links, so a reload would start the old release again.
	program, err := exec.LookPath(os.Args[0])
	if err == nil {
		program, err = filepath.Abs(program)
	}
	if err != nil {
		return fmt.Errorf("supervise: %w", err)
	}
	return supervisor.Run(ctx, supervisor.Config{
		N: o.workers, Ready: up, StopWithin: o.drainTimeout + 5*time.Second, Logger: o.log,
		Command: func(place int) *exec.Cmd { return o.workerProcess(program, place, gateways) },
	}, replace)
}

// workerProcess returns a command with the command line of this process, changed to run one worker.
func (o *options) workerProcess(program string, place int, gateways []string) *exec.Cmd {
	args := append(os.Args[1:len(os.Args):len(os.Args)], "--workers=0", fmt.Sprintf("--name=%s-%d", o.workerName(), place))
	switch {
	case o.worker:
	case o.engine.given():
		args = append(args, "--worker", "--own-gateway="+o.own.String())
	default:
		args = append(args, "--worker", "--gateway="+strings.Join(gateways, ","))
	}
	cmd := exec.Command(program, args...)
	cmd.Stderr = os.Stderr
	cmd.Env = append(cmd.Environ(), sdnotify.Variable+"=") // the parent speaks for all
	if env := o.envOfWorkers.Load(); env != nil {
		cmd.Args = append(cmd.Args, "--"+config.FileFlag+"=")
		cmd.Env = append(append(cmd.Env, config.Env(config.FileFlag)+"="), *env...)
	}
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

// followParent makes this process drain when its standard input ends, or end at once if it already
// drains.
func followParent() {
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
}
