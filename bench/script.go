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

// script is an Envelope ready for use. It is static.
type script struct {
	opening           []step
	names             []string       // of what is captured
	before, after     template       // of what is sent
	inBefore, inAfter template       // of what arrives
	fixed             bool           // what is sent is the same each time, but for the message
	ignore            *regexp.Regexp // nil: nothing
	bare, unaudited   bool
	asSent            bool
}

// step is an Exchange.
type step struct {
	send    template
	silent  bool
	await   string
	matches []capture
}

// capture is what an answer has to match.
type capture struct {
	at    int // of its one group in who.captured; -1: that is not wanted
	match *regexp.Regexp
}

// script reads the envelope.
func (o *Options) script() (*script, error) {
	e := o.Envelope
	s := &script{bare: e.Bare, unaudited: e.Unaudited, asSent: e.AsSent}
	for i, x := range e.Opening {
		t, err := s.step(x)
		if err != nil {
			return nil, fmt.Errorf("login, step %d: %w", i+1, err)
		}
		s.opening = append(s.opening, t)
	}
	if e.Ignore != "" {
		var err error
		if s.ignore, err = regexp.Compile(e.Ignore); err != nil {
			return nil, fmt.Errorf("ignore: %w", err)
		}
	}
	allowed := append(slices.Clone(atHandshake), "seq")
	for _, part := range []struct {
		name string
		text string
		to   *template
	}{{"message", e.Out.Before, &s.before}, {"message", e.Out.After, &s.after}, {"reply", e.In.Before, &s.inBefore}, {"reply", e.In.After, &s.inAfter}} {
		t, err := parseTemplate(part.text, allowed, s.names)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", part.name, err)
		}
		*part.to = t
	}
	s.fixed = s.before.fixed() && s.after.fixed() && !s.unaudited
	return s, s.check(o)
}

// step reads an exchange.
func (s *script) step(x Exchange) (t step, err error) {
	t = step{silent: x.Silent, await: x.Await}
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
			return t, fmt.Errorf("capture %s: /%s/ has to have one group, in brackets", c.Name, c.Match)
		case !placeholder.MatchString("{"+c.Name+"}") || fields[c.Name] != literal || c.Name == "message":
			return t, fmt.Errorf("capture: %q is no name to be had", c.Name)
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

// check finds what does not go with the codec and the mode.
func (s *script) check(o *Options) error {
	e := o.Envelope
	switch {
	case e.Unaudited && o.Mode != Echo && o.Mode != Connect && o.Mode != Churn && o.Mode != Idle:
		return fmt.Errorf("mode %s needs the message back: any reply is none", o.Mode)
	case e.Bare && !e.Unaudited:
		return errors.New("a message has {message} in it, once, unless any reply will do")
	case e.AsSent && e.In != e.Out:
		return errors.New("what arrives is not what was sent")
	case o.Mode == Broadcast && slices.ContainsFunc([]template{s.inBefore, s.inAfter}, func(t template) bool { return t.has(lineOf, captured) }):
		return errors.New("a reply comes from another connection in mode broadcast, whose line and captures are not known")
	}
	for _, t := range []template{s.inBefore, s.inAfter} {
		if name, ok := t.ambiguous(); ok && !e.Unaudited {
			return fmt.Errorf("in a reply something other than a digit or a placeholder has to follow {%s}: it could not be told where the number ends", name)
		}
	}
	if !e.wraps() {
		return nil
	}
	sample := e.Out.Before + strings.Repeat("x", stampLen) + e.Out.After
	if e.Bare {
		sample = e.Out.Before
	}
	switch {
	case o.Codec != Frame && !utf8.ValidString(sample):
		return fmt.Errorf("a message over codec %s is text, in UTF-8", o.Codec)
	case (o.Codec == Text || o.Codec == JSONLines) && strings.Contains(sample, "\n"):
		return fmt.Errorf("a message over codec %s is one line", o.Codec)
	case o.Codec.isJSON() && !s.before.has(lineOf, captured) && !s.after.has(lineOf, captured) && !json.Valid(numbers.ReplaceAll([]byte(sample), []byte("0"))):
		return fmt.Errorf("a message over codec %s has to be a JSON document", o.Codec)
	}
	return nil
}

// numbers are the placeholders that numbers take the place of.
var numbers = regexp.MustCompile(`\{(conn|seq|time)\}`)

// open takes the wrap off a message that w received in shard l. The message's own numbers have to be those in the wrap, where it has some.
func (s *script) open(p []byte, w *who, l *shard) (inner []byte, ok bool) {
	var n claims
	rest, ok := s.inBefore.match(p, w, &n)
	if !ok || len(rest) < l.layout.size {
		return nil, false
	}
	inner, rest = rest[:l.layout.size], rest[l.layout.size:]
	if rest, ok = s.inAfter.match(rest, w, &n); !ok || len(rest) > 0 {
		return nil, false
	}
	stamp, err := readStamp(inner[l.layout.stamp:])
	if err != nil {
		return inner, true // who gets it tells that it cannot be read
	}
	due := n.time // whatever that is
	if s.asSent {
		due = uint64(l.run.epoch(stamp.since(l.now)))
	}
	return inner, n.agree(stamp, due)
}

// loggedIn takes p, the answer to a step of the opening, and goes on with the next.
func (c *client) loggedIn(s *step, p []byte) {
	if string(p) == overloaded {
		c.turnedAway(errOverloaded)
		return
	}
	if err := s.answered(p, c.who.captured); err != nil {
		c.fail("login", fmt.Errorf("%w: %q %w", errOpening, p[:min(len(p), 64)], err))
		return
	}
	c.step++
	c.introduce()
}

// answered takes what is to be captured out of the answer to s, and tells what is wrong with it.
func (s *step) answered(p []byte, captured []string) error {
	if !bytes.HasPrefix(p, []byte(s.await)) {
		return fmt.Errorf("instead of %q", s.await)
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

// login sends the next step of the opening, and tells whether there is none left.
func (c *client) login(opening []step) (over bool) {
	l := c.shard
	for ; c.step < len(opening); c.step++ {
		s := &opening[c.step]
		if len(s.send) > 0 {
			c.write(s.send.append(nil, &c.who, 0, l.run.epoch(l.now)))
		}
		if !s.silent {
			return false
		}
	}
	return true
}

// epoch is a time of the run in milliseconds since 1970; at is in microseconds since the run began.
func (g *generator) epoch(at int64) int64 {
	return g.began.UnixMilli() + at/int64(time.Millisecond/time.Microsecond)
}

// ParseEnvelope makes an envelope of what a command line has. message and reply are templates of what is sent and of what answers it, with {message} where the message is;
// an empty reply is the message as sent, and "any" is Envelope.Unaudited, where {message} may be left out. login is a script; see parseLogin. All empty: there is no envelope.
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
		if e.Out, err = parseWrap(message); err != nil && e.Unaudited && !strings.Contains(message, theMessage) {
			e.Out, e.Bare, err = Framing{Before: message}, true, nil
		}
		e.In, e.AsSent = e.Out, reply == ""
	}
	if reply != "" && !e.Unaudited && err == nil {
		e.In, err = parseWrap(reply)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	return e, nil
}

// theMessage is the placeholder for stamp and padding.
const theMessage = "{message}"

func parseWrap(s string) (w Framing, err error) {
	w.Before, w.After, _ = strings.Cut(s, theMessage)
	if strings.Count(s, theMessage) != 1 {
		return w, fmt.Errorf("%q has to have {message} in it, once", s)
	}
	return w, nil
}

// parseLogin reads a login script. A line is one of
//
//	send TEXT                 send a message, a template
//	expect PREFIX             wait for the next message, which begins so
//	expect /REGEXP/           wait for the next message, which matches
//	capture NAME /REGEXP/     of that message, what the one group matches is {NAME} from here on
//
// Empty lines, and those that begin with #, are for the reader.
func parseLogin(script string) (all []Exchange, err error) {
	awaits := true // the last exchange has its answer
	n := 0
	for line := range strings.Lines(script) {
		n++
		word, rest, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		switch {
		case strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#"):
		case word == "send" && rest == "":
			return nil, fmt.Errorf("line %d: send TEXT: there is nothing to send", n)
		case word == "send":
			all = append(all, Exchange{Send: rest, Silent: true})
			awaits = false
		case word == "expect":
			if awaits {
				all = append(all, Exchange{})
			}
			x := &all[len(all)-1]
			x.Silent, awaits = false, true
			if re, ok := slashed(rest); ok {
				x.Match = re
			} else {
				x.Await = rest
			}
		case word == "capture":
			name, rest, _ := strings.Cut(rest, " ")
			re, ok := slashed(rest)
			if !ok || !awaits || len(all) == 0 {
				return nil, fmt.Errorf("line %d: capture NAME /REGEXP/ comes after an expect: %q", n, strings.TrimSpace(line))
			}
			x := &all[len(all)-1]
			x.Capture = append(x.Capture, Capture{name, re})
		default:
			return nil, fmt.Errorf("line %d: it is send TEXT, expect PREFIX or /REGEXP/, or capture NAME /REGEXP/: %q", n, strings.TrimSpace(line))
		}
	}
	return all, nil
}

// slashed is what stands between slashes.
func slashed(s string) (inner string, ok bool) {
	s = strings.TrimSpace(s)
	if len(s) < 2 || s[0] != '/' || s[len(s)-1] != '/' {
		return "", false
	}
	return s[1 : len(s)-1], true
}
