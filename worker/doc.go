// Package worker runs the business code of a sluice back end.
//
// A Worker dials gateways, which hold the clients, and calls a Handler for what clients do:
//
//	h := worker.Handler{
//		Connect: func(ctx context.Context, c worker.Call) error {
//			c.Join("lobby")
//			return nil
//		},
//		Message: func(ctx context.Context, c worker.Call, m worker.Message) error {
//			c.Publish(worker.Group("lobby").Except(c.ID()), m) // to all others
//			return nil
//		},
//	}
//	w, err := worker.New(worker.Config{Gateways: []string{"127.0.0.1:2300"}}, h)
//	…
//	err = w.Run(ctx)
//
// A Call is one event of one client. Its effects reach the client's gateway together with the
// acknowledgement of the event: all of them or none. A Worker acts and asks at once, at any time, from
// any goroutine; what it does is part of no call. A Target says which clients are meant.
//
// The calls for one client come in order and never overlap; those for different clients run side by
// side. A handler may block: it delays its own client and nobody else.
//
// A handler that returns an error, panics, or does what is not possible has had no effect. The failure
// is counted and logged, Handler.Error is called, and the event is acknowledged. Retry asks for another
// delivery instead. When a worker dies, or loses its link, before it has acknowledged a message, the
// next worker gets it, marked Redelivered.
//
// Connect admits a client by returning nil. Until then the client gets no message to Everyone, except
// one that Connect itself sends. A client whose Connect fails is closed; no other event of it is
// delivered.
//
// There is one context for all calls of a client. It is done when what they do can no longer be
// committed: when the link is lost (the cause wraps ErrLinkDown), and when a drain has taken longer
// than Config.DrainTimeout (ErrDrainTimeout).
//
// Data of a message from a client is valid until the handler returns. What is given to a method is
// copied before the method returns.
//
// The guide docs/worker.md has the details: order, delivery, limits, state, middleware, tests.
package worker
