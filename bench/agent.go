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

// An agent is a generator in a process of its own, for runs that need more descriptors than one has. The run asks it over its standard input and output. Requests and
// answers are few, a second apart, and never on the path of a message.

// A part is a generator's share of a run: one in this process, or one of several in processes of their own. It is asked one thing at a time, to open first.
type part interface {
	ask(ctx context.Context, q question) (answer, error)
	close(ctx context.Context) error
}

// question is what a part is to do.
type question struct {
	Do          string
	Share       share    // open: of an agent
	From, Until int64    // start: the window, microseconds since the run began
	Sent        []uint32 // audit: by each connection of the run
}

// What a part can do: each is a method of generator.
const (
	doOpen   = "open"
	doStart  = "start"
	doSample = "sample"
	doHalt   = "halt"
	doAudit  = "audit"
)

// share is what an agent is asked to be.
type share struct {
	Options    Options
	First, End uint32 // its connections
	Began      int64  // of the run: microseconds since 1970
}

// answer is what came of it.
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

// ServeAgent is the main of an agent: it makes the load that it is asked for on in, answers on out, and returns when in ends or ctx does.
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
			now := time.Now()
			began := now.Add(-time.Duration(now.UnixMicro()-q.Share.Began) * time.Microsecond) // on this process's monotonic clock
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

// agent is the run's end of it.
type agent struct {
	share     share
	cmd       *exec.Cmd
	in        io.Closer
	questions *gob.Encoder
	answers   *gob.Decoder
	log       *tail
}

// startAgent starts the process; it does nothing yet.
func startAgent(program string, s share) (*agent, error) {
	a := &agent{share: s, cmd: exec.Command(program, "bench", "agent"), log: &tail{}}
	a.cmd.Stderr = a.log
	a.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it ends with its standard input
	in, err := a.cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("bench: agent: %w", err)
	}
	out, err := a.cmd.StdoutPipe()
	if err == nil {
		err = a.cmd.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("bench: agent: %w", err)
	}
	a.in, a.questions, a.answers = in, gob.NewEncoder(in), gob.NewDecoder(out)
	return a, nil
}

// ask implements part. When ctx ends before the answer the process is killed, for it does not listen meanwhile.
func (a *agent) ask(ctx context.Context, q question) (r answer, err error) {
	stop := context.AfterFunc(ctx, func() { _ = a.cmd.Process.Kill() })
	defer stop()
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

// close ends the process: its input ends, and after ctx it is killed.
func (a *agent) close(ctx context.Context) error {
	_ = a.in.Close() // it may have ended by itself
	stop := context.AfterFunc(ctx, func() { _ = a.cmd.Process.Kill() })
	defer stop()
	if err := a.cmd.Wait(); err != nil {
		return fmt.Errorf("bench: agent: %w%s", err, a.log)
	}
	return nil
}

// program is what servers and agents are started from.
func (o *Options) program() (string, error) {
	if o.Servers.Binary != "" {
		return o.Servers.Binary, nil
	}
	own, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("bench: %w", err)
	}
	return own, nil
}
