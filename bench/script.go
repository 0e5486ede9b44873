package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// script is a parsed Envelope. It is static.
type script struct {
	*Envelope
	opening           []step
	names             []string       // of captured values
	before, after     template       // around a sent message
	inBefore, inAfter template       // around a received message
	fixed             bool           // the framing of sent messages never changes
	ignore            *regexp.Regexp // nil: nothing
}

type step struct {
	Exchange
	send    template
	matches []capture
}

// capture is a regular expression that an answer must match.
type capture struct {
	at    int // index of its group in values.captured; -1: the group is not kept
	match *regexp.Regexp
}

// parseScript parses the envelope.
func parseScript(o *Options) (*script, error) {
	e := o.Envelope
	s := &script{Envelope: e}
	for i, x := range e.Opening {
		t, err := s.step(x)
		if err != nil {
			return nil, fmt.Errorf("login, step %d: %w", i+1, err)
		}
		s.opening = append(s.opening, t)
	}
	var err error
	if e.Ignore != "" {
		if s.ignore, err = regexp.Compile(e.Ignore); err != nil {
			return nil, fmt.Errorf("ignore: %w", err)
		}
	}
	allowed := append(slices.Clone(atHandshake), "seq")
	for i, to := range []*template{&s.before, &s.after, &s.inBefore, &s.inAfter} {
		text := []string{e.Out.Before, e.Out.After, e.In.Before, e.In.After}[i]
		if *to, err = parseTemplate(text, allowed, s.names); err != nil {
			return nil, fmt.Errorf("%s: %w", []string{"message", "reply"}[i/2], err)
		}
	}
	varies := func(t template) bool { return t.has(connOf, seqOf, timeOf, lineOf, captured) }
	s.fixed = !varies(s.before) && !varies(s.after) && !s.Unaudited
	return s, s.check(o)
}

func (s *script) step(x Exchange) (t step, err error) {
	t = step{Exchange: x}
	if t.send, err = parseTemplate(x.Send, atHandshake, s.names); err != nil {
		return t, err
	}
	if x.Match != "" {
		re, err := regexp.Compile(x.Match)
		if err != nil {
			return t, err
		}
		t.matches = append(t.matches, capture{-1, re})
	}
	for _, c := range x.Capture {
		re, err := regexp.Compile(c.Match)
		switch {
		case err != nil:
			return t, err
		case re.NumSubexp() != 1:
			return t, fmt.Errorf("capture %s: /%s/ must have one group", c.Name, c.Match)
		case !placeholder.MatchString("{"+c.Name+"}") || placeholders[c.Name] != literal || c.Name == "message":
			return t, fmt.Errorf("capture: %q cannot be used as a name", c.Name)
		}
		at := slices.Index(s.names, c.Name)
		if at < 0 {
			at = len(s.names)
			s.names = append(s.names, c.Name)
		}
		t.matches = append(t.matches, capture{at, re})
	}
	return t, nil
}

// jsonNumbers matches the placeholders that are JSON numbers.
var jsonNumbers = regexp.MustCompile(`\{(conn|seq|time)\}`)

// check refuses an envelope that the codec or the mode cannot have.
func (s *script) check(o *Options) error {
	e := o.Envelope
	perConn := func(t template) bool { return t.has(lineOf, captured) }
	switch {
	case e.Unaudited && (o.Mode.named() || o.Mode == Broadcast):
		return fmt.Errorf("mode %s needs the message back, so --reply any is not possible", o.Mode)
	case e.Bare && !e.Unaudited:
		return errors.New("a message must contain {message} once, unless --reply is any")
	case e.AsSent && e.In != e.Out:
		return errors.New("the reply is not the message as sent")
	case o.Mode == Broadcast && (perConn(s.inBefore) || perConn(s.inAfter)):
		return errors.New("in mode broadcast a reply comes from another connection, whose line and captures are not known")
	}
	for _, t := range []template{s.inBefore, s.inAfter} {
		if name, ok := t.ambiguous(); ok && !e.Unaudited {
			return fmt.Errorf("in a reply a digit or a placeholder must not follow {%s}: where does the number end?", name)
		}
	}
	if !e.wraps() {
		return nil
	}
	sample := e.Out.Before + strings.Repeat("x", stampLen) + e.Out.After
	if e.Bare {
		sample = e.Out.Before
	}
	document := jsonNumbers.ReplaceAll([]byte(sample), []byte("0"))
	switch {
	case o.Codec != Frame && !utf8.ValidString(sample):
		return fmt.Errorf("a message over codec %s must be text in UTF-8", o.Codec)
	case (o.Codec == Text || o.Codec == JSONLines) && strings.Contains(sample, "\n"):
		return fmt.Errorf("a message over codec %s must be one line", o.Codec)
	case o.Codec.isJSON() && !perConn(s.before) && !perConn(s.after) && !json.Valid(document):
		return fmt.Errorf("a message over codec %s must be a JSON document", o.Codec)
	}
	return nil
}

// open returns the message inside p, which shard sh received. The
// numbers around it must be its own.
func (s *script) open(p []byte, v *values, sh *shard) (inner []byte, ok bool) {
	var n claims
	rest, ok := s.inBefore.match(p, v, &n)
	if !ok || len(rest) < sh.layout.size {
		return nil, false
	}
	inner, rest = rest[:sh.layout.size], rest[sh.layout.size:]
	if rest, ok = s.inAfter.match(rest, v, &n); !ok || len(rest) > 0 {
		return nil, false
	}
	stamp, err := readStamp(inner[sh.layout.stamp:])
	if err != nil {
		return inner, true // the caller finds that it cannot be read
	}
	due := n[timeOf].value // any time
	if s.AsSent {
		due = uint64(sh.run.epoch(stamp.since(sh.now)))
	}
	return inner, n.agree(stamp, due)
}

// loginAnswered handles p, the answer to a step of the login, and goes on with the next step.
func (c *client) loginAnswered(s *step, p []byte) {
	if string(p) == overloaded {
		c.turnedAway(errOverloaded)
		return
	}
	if err := s.answered(p, c.values.captured); err != nil {
		c.fail("login", fmt.Errorf("%w: %q %w", errLogin, p[:min(len(p), 64)], err))
		return
	}
	c.step++
	c.introduce()
}

// answered checks an answer and stores what it captures.
func (s *step) answered(p []byte, captured []string) error {
	if !bytes.HasPrefix(p, []byte(s.Await)) {
		return fmt.Errorf("instead of %q", s.Await)
	}
	for _, x := range s.matches {
		m := x.match.FindSubmatch(p)
		if m == nil {
			return fmt.Errorf("does not match /%s/", x.match)
		}
		if x.at >= 0 {
			captured[x.at] = string(m[1])
		}
	}
	return nil
}

// login sends the next step of the login, and reports whether none is left.
func (c *client) login(opening []step) (over bool) {
	for ; c.step < len(opening); c.step++ {
		s := &opening[c.step]
		if len(s.send) > 0 {
			c.write(s.send.append(nil, &c.values, 0, c.shard.run.epoch(c.shard.now)))
		}
		if !s.Silent {
			return false
		}
	}
	return true
}

// epoch turns microseconds since the start of the run into milliseconds since 1970.
func (g *generator) epoch(at int64) int64 {
	return g.began.UnixMilli() + at/int64(time.Millisecond/time.Microsecond)
}

const theMessage = "{message}"

// ParseEnvelope makes an envelope from flags; nil if all are empty. message and reply are templates
// with {message} in them once. An empty reply means the message as sent. The reply "any" means
// Envelope.Unaudited: then message need not contain {message}. For login, see parseLogin.
func ParseEnvelope(message, reply, login string) (*Envelope, error) {
	if message == "" && reply == "" && login == "" {
		return nil, nil
	}
	e := &Envelope{Unaudited: reply == "any"}
	var err error
	if e.Opening, err = parseLogin(login); err != nil {
		return nil, fmt.Errorf("%w: login, %w", ErrOptions, err)
	}
	if message != "" {
		if e.Bare = e.Unaudited && !strings.Contains(message, theMessage); e.Bare {
			e.Out.Before = message
		} else {
			e.Out, err = parseFraming(message)
		}
		e.In, e.AsSent = e.Out, reply == ""
	}
	if reply != "" && !e.Unaudited && err == nil {
		e.In, err = parseFraming(reply)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	return e, nil
}

func parseFraming(s string) (f Framing, err error) {
	f.Before, f.After, _ = strings.Cut(s, theMessage)
	if strings.Count(s, theMessage) != 1 {
		err = fmt.Errorf("%q must contain {message} once", s)
	}
	return f, err
}

// parseLogin parses a login script. A line is one of
//
//	send TEXT                 send a message, a template
//	expect PREFIX             wait for the next message; it must begin with PREFIX
//	expect /REGEXP/           wait for the next message; it must match
//	capture NAME /REGEXP/     set {NAME} to what the only group matches in that message
//
// Empty lines and lines that begin with # are comments.
func parseLogin(script string) (all []Exchange, err error) {
	answered := true // the last exchange has its answer
	n := 0
	for line := range strings.Lines(script) {
		n++
		word, rest, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		text := strings.TrimSpace(line)
		switch {
		case text == "" || strings.HasPrefix(line, "#"):
		case word == "send" && rest == "":
			return nil, fmt.Errorf("line %d: send TEXT: the text is missing", n)
		case word == "send":
			all = append(all, Exchange{Send: rest, Silent: true})
			answered = false
		case word == "expect":
			if answered {
				all = append(all, Exchange{})
			}
			x := &all[len(all)-1]
			x.Silent, answered = false, true
			if re, ok := slashed(rest); ok {
				x.Match = re
			} else {
				x.Await = rest
			}
		case word == "capture":
			name, rest, _ := strings.Cut(rest, " ")
			re, ok := slashed(rest)
			if !ok || !answered || len(all) == 0 {
				return nil, fmt.Errorf("line %d: capture NAME /REGEXP/ must follow an expect: %q", n, text)
			}
			x := &all[len(all)-1]
			x.Capture = append(x.Capture, Capture{name, re})
		default:
			return nil, fmt.Errorf("line %d: %q is not send TEXT, expect PREFIX or /REGEXP/, or capture NAME /REGEXP/", n, text)
		}
	}
	return all, nil
}

// slashed returns what is between slashes.
func slashed(s string) (inner string, ok bool) {
	s = strings.TrimSpace(s)
	if len(s) < 2 || s[0] != '/' || s[len(s)-1] != '/' {
		return "", false
	}
	return s[1 : len(s)-1], true
}
