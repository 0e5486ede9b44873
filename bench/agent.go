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

	"github.com/HdrHistogram/hdrhistogram-go"
)

// An agent is a generator in a process of its own, for runs that need more descriptors than one has. The run speaks to it over its standard input and output, a call
// for each method of part. Requests and answers are few, a second apart, and never on the path of a message.

// share is what an agent is asked to be.
type share struct {
	Options    Options
	First, End uint32 // its connections
	Began      int64  // of the run: microseconds since 1970
}

// question is a call of a part's method, with what that takes.
type question struct {
	Method      string
	Share       share
	From, Until int64
	Sent        []uint32
}

// answer is what the method returned.
type answer struct {
	Err               string
	Tally             tally
	Latency, Lateness *hdrhistogram.Snapshot
	Sent              []uint32
	Audited           audited
	Usage             usage
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
		err := q.ask(ctx, &g, &a)
		if err != nil {
			a.Err = err.Error()
		}
		if err := answers.Encode(&a); err != nil {
			return fmt.Errorf("bench: agent: %w", err)
		}
	}
}

// ask carries the question out. The first question but for usage is open, and makes g.
func (q *question) ask(ctx context.Context, g **generator, a *answer) (err error) {
	switch q.Method {
	case "usage":
		a.Usage = ownUsage()
	case "open":
		now := time.Now()
		began := now.Add(-time.Duration(now.UnixMicro()-q.Share.Began) * time.Microsecond) // on this process's monotonic clock
		if *g, err = newGenerator(q.Share.Options, q.Share.First, q.Share.End, began); err == nil {
			err = (*g).open(ctx)
		}
	case "start":
		err = (*g).start(q.From, q.Until)
	case "sample":
		var s laneSample
		s, err = (*g).sample()
		a.Tally, a.Latency, a.Lateness = s.tally, s.Latency.Export(), s.Lateness.Export()
	case "halt":
		a.Sent, err = (*g).halt()
	case "audit":
		a.Audited, err = (*g).audit(q.Sent)
	default:
		err = fmt.Errorf("bench: agent: %q is no question", q.Method)
	}
	return err
}

// agent is the run's end of it. It implements part; one call at a time.
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

func (a *agent) ask(q question) (r answer, err error) {
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

// open implements part. When ctx ends the process is killed, for it does not listen while it opens.
func (a *agent) open(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = a.cmd.Process.Kill() })
	defer stop()
	_, err := a.ask(question{Method: "open", Share: a.share})
	return err
}

func (a *agent) start(from, until int64) error {
	_, err := a.ask(question{Method: "start", From: from, Until: until})
	return err
}

func (a *agent) sample() (laneSample, error) {
	r, err := a.ask(question{Method: "sample"})
	if err != nil {
		return laneSample{}, err
	}
	return laneSample{r.Tally, hdrhistogram.Import(r.Latency), hdrhistogram.Import(r.Lateness)}, nil
}

func (a *agent) halt() ([]uint32, error) {
	r, err := a.ask(question{Method: "halt"})
	return r.Sent, err
}

func (a *agent) audit(sent []uint32) (audited, error) {
	r, err := a.ask(question{Method: "audit", Sent: sent})
	return r.Audited, err
}

func (a *agent) usage() (usage, error) {
	r, err := a.ask(question{Method: "usage"})
	return r.Usage, err
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
