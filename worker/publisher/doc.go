// Package publisher sends messages to the clients of gateways, and asks about them, from any Go
// program: a web application, a job, a consumer of a queue. The program handles no clients.
//
//	p, err := publisher.New(publisher.Config{Gateways: []string{"127.0.0.1:2300"}})
//	if err != nil {
//		return err
//	}
//	go p.Run(ctx)
//	...
//	err = p.Publish(ctx, worker.UID("ada"), worker.Text("your order is on its way"))
//
// A program that ends soon uses With, which connects, calls a function and ends.
//
// Targets, messages, results and errors are those of package worker, and the methods of a Publisher
// do what those of a worker.Worker do. It connects to the ports where gateways accept workers, with
// the same key and TLS. Gateways give it no clients, and do not count it as a worker. It may do
// everything that a worker may do, so give its key only to programs of your own back end; others
// use the HTTP API with a token. docs/publishing.md compares both.
//
// A Publisher dials again when a gateway restarts. What is sent meanwhile does not reach that
// gateway: methods return worker.ErrLinkDown if no gateway has got it, and Stats counts it. Nothing
// is stored.
//
// Package worker/workertest has a gateway in memory for tests of code with a Publisher.
package publisher
