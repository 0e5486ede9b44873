package worker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/link"
	"github.com/seed-7410fe32/sluice/worker"
)

// A client that is in as many groups as allowed cannot join another one, and a Join that waits for
// the result returns an error. Queries about it are complete, and other clients are not affected.
func TestGroupsOfAClientAreBounded(t *testing.T) {
	t.Parallel()
	g1, _ := realGateway(t, 1, "127.0.0.1:0", nil)
	g2, _ := realGateway(t, 2, "127.0.0.1:0", nil)
	e := make(errands, 1)
	w := run(t, worker.Config{Gateways: []string{g1.WorkerAddr(), g2.WorkerAddr()}}, e.handler())
	<-w.Ready()
	ids := make([]worker.ClientID, 2)
	for i := range ids {
		l := dial(t, g1)
		e <- func(_ context.Context, c worker.Call) error { ids[i] = c.ID(); return nil }
		l.say("go on")
		l.receives("done")
	}
	ctx := t.Context()
	const most = link.DefaultGroupBytes / link.MaxKey
	name := func(i int) string { return fmt.Sprintf("%0*d", link.MaxKey, i) }
	first, second := worker.Client(ids[0]), worker.Client(ids[1])
	for i := range most {
		if err := w.Join(ctx, first, name(i)); err != nil {
			t.Fatal(err)
		}
	}
	for range 4 {
		if err := w.Join(ctx, first, "one more"); !errors.Is(err, worker.ErrRefused) {
			t.Errorf("one more: %v", err)
		}
	}
	if err := w.Join(ctx, first, name(0)); err != nil {
		t.Errorf("a group that it is in: %v", err)
	}
	var figures gateway.Stats
	await(t, func() bool { figures = g1.Stats(); return figures.JoinsRejected == 4 })
	for _, err := range []error{w.Leave(ctx, first, name(0)), w.Join(ctx, first, "one more"), w.Join(ctx, second, "one")} {
		if err != nil {
			t.Error(err)
		}
	}
	var groups []string
	for group, err := range w.Groups(ctx, first) {
		if err != nil {
			t.Error(err)
		}
		groups = append(groups, group)
	}
	if len(groups) != most {
		t.Errorf("it is in %d groups", len(groups))
	}
	rows, all := 0, 0
	for row, err := range w.Select(ctx, worker.Everyone(), worker.FieldGroups) {
		if err != nil {
			t.Error(err)
		}
		rows, all = rows+1, all+len(row.Groups)
	}
	if rows != 2 || all != most+1 {
		t.Errorf("Select gives %d rows with %d groups", rows, all)
	}
	one := worker.Group("one")
	thrice := []worker.Target{one, one, worker.Group("none"), one}
	if n, err := w.Counts(ctx, thrice); err != nil || fmt.Sprint(n) != "[1 1 0 1]" {
		t.Errorf("Counts of one group named thrice: %v, %v", n, err)
	}
	if err := w.Join(ctx, worker.Client(worker.ClientID{}), "one"); !errors.Is(err, worker.ErrLinkDown) {
		t.Errorf("of no gateway: %v", err)
	}
}

// A count that not all loops of a gateway have answered is returned with ErrPartial. One that was
// not carried out is an error.
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
			w := run(t, worker.Config{Gateways: []string{"pipe"}, Dial: pipeDial(conns, 0)}, worker.Handler{})
			conn := <-conns
			<-w.Ready()
			answered := make(chan error, 1)
			go func() { answered <- answerCount(conn, c.reply) }()
			n, err := w.Count(t.Context(), worker.Everyone())
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

// answerCount answers the first COUNT and then reads until the connection ends.
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
