package gateway_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// scenarioWorker plays the steps of a worker:
//
//	gets attach CLIENT new|moved [uid=U] [loop=N] [attr=value...]
//	gets message CLIENT TEXT | gets redelivered CLIENT TEXT
//	gets detach CLIENT REASON|moved | gets attrs CLIENT VERSION [uid=U] [attr=value...]
//	gets nothing                    in what the gateway has done so far
//	gets drain | gets goaway STATUS
//	acks | acks again | dies | drains
//	COMMAND | asks ID COMMAND | gets reply ID STATUS [ANSWER]
//	unit COMMAND; COMMAND...        of the client whose event it got last; then it acknowledges the rest
//	repeats COMMAND; COMMAND...     a unit with the last acknowledgement again
//	half a unit COMMAND; COMMAND... a unit whose last byte does not come
//	bad unit COMMAND; COMMAND...    a unit whose last frame is malformed
//
// Commands are those of scenarioWorker.command. Attributes are in order of their names.
type scenarioWorker struct {
	*scenario
	w  *fakeWorker
	at *fakeLink
}

func (p scenarioWorker) play(rest string) {
	p.Helper()
	verb, rest, _ := strings.Cut(rest, " ")
	switch verb {
	case "gets":
		what, args, _ := strings.Cut(rest, " ")
		p.gets(what, args)
	case "acks":
		if rest == "again" {
			p.at.write(&p.at.last)
		} else {
			p.each((*fakeLink).ack)
		}
	case "dies":
		p.w.die()
	case "drains":
		p.each(func(l *fakeLink) { l.write(&link.Frame{Type: link.Drain}) })
	case "asks":
		id, command, _ := strings.Cut(rest, " ")
		f := p.command(command)
		n, _ := strconv.Atoi(id)
		f.ID, f.Flags = uint32(n), f.Flags|link.FlagResult
		p.at.write(f)
	case "unit":
		_, _ = p.at.conn.Write(p.unit(rest))
		l, last := p.at, p.at.last
		l.ack() // of other clients
		l.last = last
	case "repeats":
		p.at.unacked = []link.Frame{p.at.last}
		_, _ = p.at.conn.Write(p.unit(rest))
	case "half":
		b := p.unit(strings.TrimPrefix(rest, "a unit "))
		_, _ = p.at.conn.Write(b[:len(b)-1])
	case "bad":
		b := p.unit(strings.TrimPrefix(rest, "unit "))
		b = append(b, link.Append(nil, &link.Frame{Type: link.Set, Payload: []byte("no attributes")})...)
		link.Finish(b, 0)
		_, _ = p.at.conn.Write(b)
	default:
		p.at.write(p.command(verb + " " + rest))
	}
}

func (p scenarioWorker) each(f func(l *fakeLink)) {
	for _, l := range p.w.links {
		f(l)
	}
}

// unit makes a unit of commands that acknowledges everything of the client whose event this link
// got last.
func (p scenarioWorker) unit(commands string) []byte {
	p.Helper()
	l := p.at
	if len(l.unacked) == 0 {
		p.fail("nothing to acknowledge")
	}
	last := l.unacked[len(l.unacked)-1]
	l.unacked = slices.DeleteFunc(l.unacked, func(ack link.Frame) bool { return ack.Token == last.Token })
	l.last = last
	b := link.Begin(nil, &last)
	for command := range strings.SplitSeq(commands, "; ") {
		b = link.Append(b, p.command(command))
	}
	link.Finish(b, 0)
	return b
}

func (p scenarioWorker) gets(what, args string) {
	p.Helper()
	name, rest, _ := strings.Cut(args, " ")
	switch what {
	case "attach":
		p.getsAttach(name, rest)
	case "reply":
		p.getsReply(args)
	case "nothing":
		p.pings++
		p.w.barrier(p.pings)
		if got := p.w.pending(); len(got) > 0 {
			p.fail("it gets %s", got)
		}
	case "drain", "goaway":
		_, f := p.w.take(what, func(_ int, f *link.Frame) bool { return f.Type == link.Drain || f.Type == link.GoAway })
		got := "drain"
		if f.Type == link.GoAway {
			got = "goaway " + link.Status(f.Code).String()
			wait(p, "the link's end", p.w.isOver)
		}
		if want := strings.TrimSpace(what + " " + strings.ReplaceAll(args, "-", " ")); got != want {
			p.fail("it gets %s", got)
		}
	default:
		id := p.clientID(name)
		_, f := p.w.take(what+" of "+name, func(loop int, f *link.Frame) bool {
			return f.Type <= link.Attrs && loop == int(id.Loop()) && f.Slot == id.Slot() && f.Token == id.Token()
		})
		if got, want := p.describe(&f), strings.TrimSpace(what+" "+strings.ReplaceAll(repeated(rest), "-",
			" ")); got != want {
			p.fail("it gets %s", short(got))
		}
	}
}

// describe formats a frame about a client as a step.
func (p scenarioWorker) describe(f *link.Frame) string {
	switch {
	case f.Type == link.Message && f.Has(link.FlagRedelivered):
		return "redelivered " + string(f.Payload)
	case f.Type == link.Message:
		return "message " + string(f.Payload)
	case f.Type == link.Detach && f.Has(link.FlagMoved):
		return "detach moved"
	case f.Type == link.Detach:
		return "detach " + link.Reason(f.Code).String()
	case f.Type == link.Attrs:
		c := link.Read(f.Payload)
		version, uidVersion, uid := c.U32(), c.U32(), string(c.Bytes())
		return fmt.Sprintf("attrs %d/%d%s", version, uidVersion, about(uid, c.Attributes()))
	}
	return f.Type.String()
}

// about formats a client's uid and attributes.
func about(uid string, attrs []link.Attribute) (text string) {
	if uid != "" {
		text = " uid=" + uid
	}
	slices.SortFunc(attrs, func(a, b link.Attribute) int { return strings.Compare(a.Key, b.Key) })
	for _, a := range attrs {
		text += " " + a.Key + "=" + a.Value
	}
	return text
}

// getsAttach waits for the client's attachment, from which the scenario takes its id.
func (p scenarioWorker) getsAttach(name, want string) {
	p.Helper()
	c := p.clients[name]
	var a link.Attachment
	loop, f := p.w.take("attach "+name, func(_ int, f *link.Frame) bool {
		if f.Type != link.Attach {
			return false
		}
		body := link.Read(f.Payload)
		a = body.Attachment()
		return a.Remote == c.conn.LocalAddr().String()
	})
	c.id = link.MakeClientID(p.at.hello.ID, uint8(loop), f.Slot, f.Token)
	got := "moved"
	if f.Has(link.FlagNew) {
		got = "new"
	}
	got += about(a.UID, a.Attrs)
	if strings.Contains(want, "loop=") {
		got += fmt.Sprintf(" loop=%d", loop)
	}
	if got != want {
		p.fail("it gets attach %s", got)
	}
}

// getsReply waits for the reply to a request.
func (p scenarioWorker) getsReply(rest string) {
	p.Helper()
	word, want, _ := strings.Cut(rest, " ")
	id, _ := strconv.Atoi(word)
	_, f := p.w.take("answer "+word, func(_ int, f *link.Frame) bool { return f.Type == link.Reply && f.ID == uint32(id) })
	got := link.Status(f.Code).String()
	c := link.Read(f.Payload)
	switch {
	case f.Code == uint16(link.Conflict):
		got += fmt.Sprintf(" %d%s", c.U32(), about("", c.Attributes()))
	case len(f.Payload) >= 8 && len(f.Payload)%8 == 0 && strings.Contains(want, "cursor"): // another test checks the rows
		got += " cursor"
	default:
		for b := f.Payload; len(b) >= 4; b = b[4:] {
			got += " " + strconv.Itoa(int(binary.BigEndian.Uint32(b)))
		}
	}
	if got != strings.ReplaceAll(want, "-", " ") {
		p.fail("it gets %s", got)
	}
}

// clientID is the id of a client that a worker has got.
func (p scenarioWorker) clientID(name string) link.ClientID {
	p.Helper()
	c := p.clients[name]
	if c == nil || c.id.IsZero() {
		p.fail("no worker has got %s", name)
	}
	return c.id
}
