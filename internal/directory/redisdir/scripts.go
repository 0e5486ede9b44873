package redisdir

import (
	"context"
	"crypto/sha1" // Redis names scripts by it
	_ "embed"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/redis/rueidis"

	"github.com/seed-7410fe32/sluice/internal/directory"
)

// script is a Lua script, which runs at once on one key.
type script struct {
	text, name string
	second     string // another key of the same slot, or ""
}

//go:embed lua/claim.lua
var claimText string

//go:embed lua/renew.lua
var renewText string

//go:embed lua/put.lua
var putText string

//go:embed lua/release.lua
var releaseText string

//go:embed lua/get.lua
var getText string

//go:embed lua/note.lua
var noteText string

//go:embed lua/poll.lua
var pollText string

//go:embed lua/enter.lua
var enterText string

//go:embed lua/leave.lua
var leaveText string

//go:embed lua/locate.lua
var locateText string

//go:embed lua/change.lua
var changeText string

//go:embed lua/replace.lua
var replaceText string

//go:embed lua/post.lua
var postText string

//go:embed lua/fetch.lua
var fetchText string

var (
	claim   = newScript(claimText)
	renew   = newScript(renewText)
	put     = newScript(putText)
	release = newScript(releaseText)
	get     = newScript(getText)
	note    = newScript(noteText)
	poll    = newScript(pollText)
	enter   = newScript(enterText)
	leave   = newScript(leaveText)
	locate  = newScript(locateText)
	change  = newScript(changeText)
	replace = newScript(replaceText)
	post    = newScript(postText)
	fetch   = newScript(fetchText)
)

func newScript(text string) script {
	sum := sha1.Sum([]byte(text))
	return script{text: text, name: hex.EncodeToString(sum[:])}
}

// with returns the script for another key besides that of the call. It must have the same slot.
func (s script) with(key string) script {
	s.second = key
	return s
}

// call is a script with its arguments.
type call struct {
	script
	key  string
	args []string
}

func (c *call) keys() []string {
	if c.second != "" {
		return []string{c.key, c.second}
	}
	return []string{c.key}
}

// run runs calls, all in one go, and returns their answers in order. The error is that of the first
// call that failed.
func (s *server) run(ctx context.Context, calls ...call) ([]rueidis.RedisMessage, error) {
	answers, errs, err := s.ask(ctx, calls...)
	for _, e := range errs {
		if err == nil {
			err = e
		}
	}
	return answers, err
}

// ask is like run, with an error for each call. The third result is set if none was made.
func (s *server) ask(ctx context.Context, calls ...call) ([]rueidis.RedisMessage, []error, error) {
	client, err := s.up()
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := s.bounded(ctx)
	defer cancel()
	s.commands.Add(uint64(len(calls)))
	named := make(rueidis.Commands, len(calls))
	for i, c := range calls {
		keys := c.keys()
		named[i] = client.B().Evalsha().Sha1(c.name).Numkeys(int64(len(keys))).Key(keys...).Arg(c.args...).Build()
	}
	answers := make([]rueidis.RedisMessage, len(calls))
	errs := make([]error, len(calls))
	for i, r := range client.DoMulti(ctx, named...) {
		answers[i], errs[i] = r.ToMessage()
	}
	s.teach(ctx, client, calls, answers, errs)
	for i, e := range errs {
		if e != nil {
			s.errors.Add(1)
			errs[i] = s.failure(e)
		}
	}
	return answers, errs, nil
}

// teach sends the text of each script that a server did not know: it has started since, or is
// another one.
func (s *server) teach(ctx context.Context, client rueidis.Client, calls []call,
	answers []rueidis.RedisMessage, errs []error) {
	var texts rueidis.Commands
	var of []int
	for i, err := range errs {
		if reply, ok := rueidis.IsRedisErr(err); ok && reply.IsNoScript() {
			c := calls[i]
			keys := c.keys()
			texts = append(texts,
				client.B().Eval().Script(c.text).Numkeys(int64(len(keys))).Key(keys...).Arg(c.args...).Build())
			of = append(of, i)
		}
	}
	if texts == nil {
		return
	}
	for n, r := range client.DoMulti(ctx, texts...) {
		answers[of[n]], errs[of[n]] = r.ToMessage()
	}
}

// failure returns the error of a call that has no answer of its script.
func (s *server) failure(err error) error {
	reply, ok := rueidis.IsRedisErr(err)
	switch {
	case ok && strings.HasPrefix(reply.Error(), "OOM "):
		return fmt.Errorf("%w: %w", directory.ErrFull, err)
	case s.ctx.Err() != nil:
		return errClosed
	case !ok:
		select {
		case s.failed <- struct{}{}:
		default:
		}
	}
	return fmt.Errorf("%w: %w", directory.ErrUnavailable, err)
}
