package bench

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// A part is a generator with its share of a run: in this process, or in an agent process. It is
// asked one thing at a time, first to open. Runs that need more descriptors than a process has use
// agents; a question goes to the standard input of an agent about once a second.
type part interface {
	ask(ctx context.Context, q question) (answer, error)
	close(ctx context.Context) error
}

type question struct {
	Do          string   // one of the constants below: a method of generator
	Share       share    // open: of an agent
	From, Until int64    // start: the window, in microseconds since the start of the run
	Sent        []uint32 // audit: by each connection of the run
}

const (
	doOpen   = "open"
	doStart  = "start"
	doSample = "sample"
	doHalt   = "halt"
	doAudit  = "audit"
)

// share is the work of an agent.
type share struct {
	Options    Options
	First, End uint32 // its connections
	Began      int64  // of the run: microseconds since 1970
}

type answer struct {
	Err     string // of an agent
	Sample  sample
	Sent    []uint32
	Audited audited
}

// ask implements part. ctx ends the opening.
func (g *generator) ask(ctx context.Context, q question) (a answer, err error) {
	switch q.Do {
	case doOpen:
		err = g.open(ctx)
	case doStart:
		g.start(q.From, q.Until)
	case doSample:
		a.Sample = g.sample()
	case doHalt:
		a.Sent = g.halt()
	case doAudit:
		a.Audited = g.audit(q.Sent)
	}
	return a, err
}

// ServeAgent runs an agent. It reads questions from in and writes
// answers to out, until in or ctx ends.
func ServeAgent(ctx context.Context, in io.ReadCloser, out io.Writer) (err error) {
	stop := context.AfterFunc(ctx, func() { _ = in.Close() })
	defer stop()
	var g *generator
	defer func() {
		if g != nil {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWithin)
			defer cancel()
			err = errors.Join(err, g.close(ctx))
		}
	}()
	questions, answers := gob.NewDecoder(in), gob.NewEncoder(out)
	for {
		var q question
		if err := questions.Decode(&q); errors.Is(err, io.EOF) || ctx.Err() != nil {
			return nil
		} else if err != nil {
			return fmt.Errorf("bench: agent: %w", err)
		}
		var a answer
		var err error
		if q.Do == doOpen {
			now := time.Now() // with the monotonic clock of this process
			began := now.Add(-time.Duration(now.UnixMicro()-q.Share.Began) * time.Microsecond)
			g, err = newGenerator(q.Share.Options, q.Share.First, q.Share.End, began)
		}
		if err == nil {
			a, err = g.ask(ctx, q)
		}
		if err != nil {
			a.Err = err.Error()
		}
		if err := answers.Encode(&a); err != nil {
			return fmt.Errorf("bench: agent: %w", err)
		}
	}
}

type agent struct {
	share     share
	cmd       *exec.Cmd
	in        io.Closer
	questions *gob.Encoder
	answers   *gob.Decoder
	log       *tail
}

// startAgent starts the process. It does nothing until it is asked.
func startAgent(program string, s share) (*agent, error) {
	a := &agent{share: s, cmd: exec.Command(program, "bench", "agent"), log: &tail{}}
	a.cmd.Stderr = a.log
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it ends with its standard input
	in, err := a.cmd.StdinPipe()
	out, err2 := a.cmd.StdoutPipe()
	if err = errors.Join(err, err2); err == nil {
		err = a.cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("bench: agent: %w", err)
	}
	a.in, a.questions, a.answers = in, gob.NewEncoder(in), gob.NewDecoder(out)
	return a, nil
}

// ask implements part. If ctx ends before the answer, the process is
// killed: it does not listen meanwhile.
func (a *agent) ask(ctx context.Context, q question) (r answer, err error) {
	defer context.AfterFunc(ctx, a.kill)()
	if q.Do == doOpen {
		q.Share = a.share
	}
	if err = a.questions.Encode(&q); err == nil {
		err = a.answers.Decode(&r)
	}
	if err == nil && r.Err != "" {
		err = errors.New(r.Err)
	}
	if err != nil {
		return r, fmt.Errorf("bench: agent: %w%s", err, a.log)
	}
	return r, nil
}

func (a *agent) kill() { _ = a.cmd.Process.Kill() }

// close ends the process by closing its input. When ctx ends the process is killed.
func (a *agent) close(ctx context.Context) error {
	_ = a.in.Close() // the process may have ended
	defer context.AfterFunc(ctx, a.kill)()
	if err := a.cmd.Wait(); err != nil {
		return fmt.Errorf("bench: agent: %w%s", err, a.log)
	}
	return nil
}

// program returns what servers and agents are started from.
func (s Servers) program() (string, error) {
	if s.Binary != "" {
		return s.Binary, nil
	}
	own, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("bench: %w", err)
	}
	return own, nil
}
