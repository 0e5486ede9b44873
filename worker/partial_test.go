package worker_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"sluice/gateway"
	"sluice/internal/link"
	"sluice/worker"
)

// A client in as many groups as it may be in gets no further, and whoever waits for the gateway's word is told. What is asked of it comes whole, and others are none the worse.
func TestGroupsOfAClientAreBounded(t *testing.T) {
	t.Parallel()
	g1, _ := realGateway(t, 1, "127.0.0.1:0", nil)
	g2, _ := realGateway(t, 2, "127.0.0.1:0", nil)
	e := make(errands, 1)
	w := run(t, worker.Config{Gateways: []string{g1.InnerAddr(), g2.InnerAddr()}}, e)
	<-w.Ready()
	ids := make([]worker.ClientID, 2)
	for i := range ids {
		l := dial(t, g1)
		e <- func(c *worker.Client) { ids[i] = c.ID() }
		l.say("go on")
		l.hears("done")
	}
	ctx := t.Context()
	const most = link.DefaultGroupBytes / link.MaxKey
	name := func(i int) string { return fmt.Sprintf("%0*d", link.MaxKey, i) }
	first, second := w.Client(ids[0]), w.Client(ids[1])
	for i := range most + 3 {
		if err := first.Join(name(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := first.JoinNow(ctx, "one more"); !errors.Is(err, worker.ErrRefused) {
		t.Errorf("one more: %v", err)
	}
	if err := first.JoinNow(ctx, name(0)); err != nil {
		t.Errorf("a group that it is in: %v", err)
	}
	var figures gateway.Stats
	await(t, func() bool { figures = g1.Stats(); return figures.GroupsRefused == 4 })
	for _, err := range []error{first.Leave(name(0)), first.JoinNow(ctx, "one more"), second.JoinNow(ctx, "one")} {
		if err != nil {
			t.Error(err)
		}
	}
	if groups, err := first.Groups(ctx); len(groups) != most || err != nil {
		t.Errorf("it is in %d groups, %v", len(groups), err)
	}
	rows, groups := 0, 0
	for row, err := range w.Select(ctx, worker.Query{Fields: worker.FieldGroups}) {
		if err != nil {
			t.Error(err)
		}
		rows, groups = rows+1, groups+len(row.Groups)
	}
	if rows != 2 || groups != most+1 {
		t.Errorf("Select gives %d rows with %d groups", rows, groups)
	}
	if n, err := w.CountGroups(ctx, "one", "one", "none", "one"); err != nil || fmt.Sprint(n) != "map[none:0 one:1]" {
		t.Errorf("CountGroups of one group named thrice: %v, %v", n, err)
	}
	long := strings.Repeat("x", link.MaxKey+1)
	for _, err := range []error{first.Join(long), first.JoinNow(ctx, long), first.Leave(long), first.Bind(long), w.Publish(long, worker.Text("x")), w.Dissolve(long)} {
		if !errors.Is(err, worker.ErrTooBig) {
			t.Errorf("a name of %d bytes: %v", len(long), err)
		}
	}
	far := w.Client(worker.ClientID{})
	if err := far.JoinNow(ctx, "one"); !errors.Is(err, worker.ErrLinkDown) {
		t.Errorf("of no gateway: %v", err)
	}
}

// A count that not all loops of a gateway have answered is told, and that it is not all; one that was not carried out is an error.
func TestAnswersThatAreNotAll(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		reply link.Frame
		n     int
		want  []error
	}{
		"all":     {link.Frame{Payload: []byte{0, 0, 0, 7}}, 7, nil},
		"in part": {link.Frame{Flags: link.FlagPartial, Payload: []byte{0, 0, 0, 7}}, 7, []error{worker.ErrPartial}},
		"refused": {link.Frame{Code: uint16(link.Refused)}, 0, []error{worker.ErrPartial, worker.ErrRefused}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conns := make(chan net.Conn, 1)
			w := run(t, worker.Config{Gateways: []string{"pipe"}, Dial: pipeDial(conns, 0)}, worker.HandlerFunc(func(*worker.Client, worker.Message) {}))
			conn := <-conns
			<-w.Ready()
			answered := make(chan error, 1)
			go func() { answered <- answerCount(conn, c.reply) }()
			n, err := w.Count(t.Context())
			if n != c.n || len(c.want) == 0 && err != nil {
				t.Errorf("%d, %v", n, err)
			}
			for _, want := range c.want {
				if !errors.Is(err, want) {
					t.Errorf("error %v is not %v", err, want)
				}
			}
			_ = conn.Close()
			if err := <-answered; err != nil {
				t.Error(err)
			}
		})
	}
}

// answerCount answers the first COUNT that comes, and then reads on until the connection ends.
func answerCount(conn net.Conn, reply link.Frame) error {
	var in []byte
	buf := make([]byte, 4096)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return nil
		}
		for in = append(in, buf[:n]...); ; {
			var f link.Frame
			size, err := link.Next(in, link.MaxFrame, &f)
			if size == 0 || err != nil {
				break
			}
			if f.Type == link.Count {
				reply.Type, reply.ID = link.Reply, f.ID
				if _, err := conn.Write(link.Append(nil, &reply)); err != nil && !errors.Is(err, io.ErrClosedPipe) {
					return err
				}
			}
			in = in[size:]
		}
	}
}
