// Package worker runs the business code of a sluice back end.
//
// A Worker connects to gateways, which hold the client connections. It calls a Handler for each
// event of a client:
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
//	if err != nil {
//		return err
//	}
//	return w.Run(ctx)
//
// A Call is one event of one client. Its effects, such as messages and group memberships, are
// buffered. They reach the client's gateway together with the acknowledgement of the event, and the
// gateway applies all of them or none. The methods of a Worker act at once and are not part of a
// call. Any goroutine may call them. A Target selects the clients that a method applies to.
//
// Calls for one client come in order and never overlap. Calls for different clients run
// concurrently. A handler may block: only its own client waits.
//
// A call fails when its handler returns an error, panics, or requests an effect that is not
// possible. Then its effects are discarded, the failure is counted and logged, Handler.Error is
// called, and the event is acknowledged. A handler that returns Retry(err) gets the event again
// instead. If a worker dies or loses its link before it has acknowledged a message, the gateway
// delivers the message to the next worker, marked Redelivered.
//
// Exactly one of Connect and Adopt is called for a client before its first message: Connect if the
// client has just connected, Adopt if this worker takes over a client that was admitted before.
// Clients that send nothing are taken over too.
// Nothing that the former worker had in memory comes along.
//
// Connect admits a client by returning nil. Before that, the client receives no message to
// Everyone, except one that Connect itself sends. If Connect fails, the client is closed and no
// other event of it is delivered.
//
// All calls of a client have the same context. It is done when their effects can no longer be
// committed: when the link is lost (the cause wraps ErrLinkDown), and when a drain takes longer
// than Config.DrainTimeout (the cause is ErrDrainTimeout).
//
// Data of a message from a client is valid until the handler returns. Methods copy their arguments
// before they return.
//
// The guide docs/worker.md has the details: order, delivery, limits, state, middleware, tests.
package worker
