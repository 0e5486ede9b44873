package worker_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/seed-7410fe32/sluice/worker"
	"github.com/seed-7410fe32/sluice/worker/workertest"
)

// wanderer answers with the details of the request. It does not check that there is one: the same
// code serves clients of all protocols.
var wanderer = worker.Handler{Connect: func(_ context.Context, c worker.Call) error {
	r := c.Request()
	c.Send(worker.Text(fmt.Sprintf("%q %q %q %q %q",
		r.Path(), r.Query("room"), r.Header("X-Client"), r.Cookie("id"), r.Subprotocol())))
	return nil
}}

func TestRequestOfAnyProtocol(t *testing.T) {
	t.Parallel()
	g := workertest.New(t, wanderer)
	g.Dial(workertest.Request{
		Target: "/a?room=b", Header: map[string]string{"x-client": "c", "Cookie": "x=y; id=d"}, Subprotocol: "v1",
	}).Expect(`"/a" "b" "c" "d" "v1"`)
	g.Dial(workertest.Request{}).Expect(`"" "" "" "" ""`)
}
