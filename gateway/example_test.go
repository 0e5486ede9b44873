package gateway_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sync/errgroup"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/worker"
)

// A gateway and a worker in one program. It echoes what clients send, until its context ends.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	g, err := gateway.New(gateway.Config{
		Listeners:    []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}},
		DrainTimeout: time.Second,
		Logger:       slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	// The worker ends after the gateway, so that all messages are answered.
	workerCtx, stopWorker := context.WithCancel(context.Background())
	var both errgroup.Group
	both.Go(func() error {
		defer stopWorker()
		return g.Run(ctx)
	})
	select {
	case <-g.Ready(): // from here on there are addresses
	case <-workerCtx.Done():
		log.Fatal(both.Wait()) // it cannot listen
	}
	w, err := worker.New(worker.Config{
		Gateways: []string{g.WorkerAddr()},
		Logger:   slog.New(slog.DiscardHandler),
	}, worker.Handler{
		Message: func(_ context.Context, c worker.Call, m worker.Message) error {
			c.Send(m)
			return nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	both.Go(func() error { return w.Run(workerCtx) })

	conn, err := net.Dial("tcp", strings.TrimPrefix(g.Addrs()[0], "text://"))
	if err != nil {
		log.Fatal(err)
	}
	_, _ = fmt.Fprintln(conn, "hello")
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(line)
	_ = conn.Close()

	stop()
	if err := both.Wait(); err != nil {
		log.Fatal(err)
	}
	// Output: hello
}

// zeros is a wire format: each message ends with a zero byte.
type zeros struct{}

func (zeros) Decode(in []byte) (payload []byte, text bool, n int, err error) {
	end := bytes.IndexByte(in, 0)
	if end < 0 {
		return nil, false, 0, nil // more is needed
	}
	return in[:end], true, end + 1, nil
}

func (zeros) Append(dst, payload []byte, _ bool) []byte {
	if bytes.IndexByte(payload, 0) >= 0 {
		return dst // the format cannot carry it: it is not sent
	}
	return append(append(dst, payload...), 0)
}

// A wire format of one's own has a tcp:// URL.
func ExampleCodec() {
	_, err := gateway.New(gateway.Config{
		Listeners: []gateway.ListenerConfig{{URL: "tcp://127.0.0.1:0", Codec: zeros{}}},
	})
	payload, _, n, _ := zeros{}.Decode([]byte("one\x00tw"))
	fmt.Printf("%q of %d bytes, error: %v\n", payload, n, err)
	// Output: "one" of 4 bytes, error: <nil>
}

// A program lists the clients of its gateway, and closes those of a user.
func ExampleControl() {
	g, err := gateway.New(gateway.Config{
		Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}},
		Logger:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	<-g.Ready()
	control := g.Control()
	for cursor, more := "", true; more; more = cursor != "" {
		page, err := control.Clients(ctx, gateway.ClientFilter{Slow: true}, 100, cursor)
		if err != nil {
			log.Fatal(err)
		}
		for _, c := range page.Clients {
			fmt.Println(c.ID, c.Addr, c.OutputBytes)
		}
		cursor = page.Next
	}
	kicked, err := control.Kick(ctx, gateway.Target{UID: "ada"}, 4001, "signed out")
	fmt.Println(kicked, "kicked:", err)
	stop()
	if err := <-done; err != nil {
		log.Fatal(err)
	}
	// Output: 0 kicked: <nil>
}

// The workers of a gateway count visits together. A worker calls
// c.Worker().Invoke(ctx, []byte(page)).
func ExampleConfig_onInvoke() {
	var mu sync.Mutex
	visits := make(map[string]int)
	onInvoke := func(_ context.Context, page []byte) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		visits[string(page)]++
		return strconv.AppendInt(nil, int64(visits[string(page)]), 10), nil
	}
	_, err := gateway.New(gateway.Config{
		Listeners: []gateway.ListenerConfig{{URL: "text://127.0.0.1:0"}},
		OnInvoke:  onInvoke,
	})
	fmt.Println(err)
	// Output: <nil>
}

// Each WebSocket is asked for its token. The worker then knows the client's uid from the start.
func ExampleListenerConfig_onUpgrade() {
	accounts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // stands for a service
		if r.FormValue("token") != "secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = fmt.Fprint(w, "alice")
	}))
	defer accounts.Close()

	onUpgrade := func(ctx context.Context, r *http.Request) (gateway.Identity, error) {
		ask := accounts.URL + "?" + url.Values{"token": {r.URL.Query().Get("token")}}.Encode()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, ask, nil)
		if err != nil {
			return gateway.Identity{}, err
		}
		answer, err := accounts.Client().Do(request)
		if err != nil {
			return gateway.Identity{}, err // the client gets status 500, and the log has the error
		}
		defer func() { _ = answer.Body.Close() }()
		uid, _ := bufio.NewReader(answer.Body).ReadString('\n')
		if answer.StatusCode != http.StatusOK {
			return gateway.Identity{}, gateway.Refuse(http.StatusUnauthorized, "the token is not valid")
		}
		return gateway.Identity{UID: uid, Attrs: map[string]string{"since": "today"}}, nil
	}
	g, err := gateway.New(gateway.Config{
		Listeners: []gateway.ListenerConfig{{URL: "ws://127.0.0.1:0", OnUpgrade: onUpgrade}},
		Logger:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	select {
	case <-g.Ready():
	case err := <-done:
		log.Fatal(err) // it cannot listen
	}

	_, response, err := websocket.Dial(ctx, g.Addrs()[0]+"/?token=guessed", nil)
	fmt.Println(response.Status, err != nil)
	conn, response, err := websocket.Dial(ctx, g.Addrs()[0]+"/?token=secret", nil)
	fmt.Println(response.Status, err)
	_ = conn.CloseNow()

	stop()
	if err := <-done; err != nil {
		log.Fatal(err)
	}
	// Output:
	// 401 Unauthorized true
	// 101 Switching Protocols <nil>
}
