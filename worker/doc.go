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
// Three types do the work. A Call is one event of one client: its effects are one unit. A Worker acts
// and asks at any time, from any goroutine. A Target says which clients are meant.
//
// # Order
//
// The calls for one client come in order and never overlap, those for different clients run side by
// side. A handler may block: it delays its own client and nobody else. Any number of handlers may
// block at the same time; each costs a goroutine (Stats.Blocked). While a call runs its client is
// kept, though it may have disconnected (Stats.Leaving): when a link has 4,096 of those, its gateway
// gives this worker no new clients until half of them are done. When a link is lost and comes back,
// the next call for a client waits for one that still runs. Another worker does not know of that one:
// it may handle the message, which is marked Redelivered, at the same time.
//
// # Effects are a unit
//
// What a handler does through its Call reaches the client's gateway together with the acknowledgement
// of the event: all of it or nothing. When the worker dies or loses its link before that, the event
// goes to the next worker, and nobody has seen anything of the first attempt. So clients see each
// effect once and in order, at all gateways. The client's gateway forwards what is for clients of
// other gateways, and keeps it until they have confirmed it. It is lost, and counted
// (gateway.LoopStats.Unreached), when another gateway cannot be reached for 10 s, when more than
// 4 MiB wait for one that cannot be reached, and when the gateway itself dies.
//
// What a Worker does is not part of a unit. It happens at once, before what the call has done, and
// again when the event is delivered again. Questions (Count, Select, …) do not see what the call has
// done so far. The same is true for what Call.Flush has sent. For effects elsewhere, such as in a
// database, Message.Key is the same at each delivery: store.Once makes them once.
//
// The effects of a call have at most 4 MiB, or are one effect of at most 16 MiB. A name of a group or
// a uid has 1 to 1,024 bytes, the key of Message.Conflate at most 65,535, a list at most 65,535 names
// or clients, and the attributes of a client 1 MiB. More than that makes the call fail (ErrTooBig,
// ErrUnitTooLarge, ErrEmpty).
//
// # Failure
//
// A handler that returns an error, panics or does what is not possible has failed: its effects are
// discarded, the failure is logged (errors at most once a second) and counted, Handler.Error is
// called, and the event is acknowledged. Retry asks for another delivery instead.
//
// Connect admits the client by returning nil. Until then the client gets no message to Everyone,
// except one that Connect itself sends; it gets what is sent to it, to its uid and to its groups. When
// Connect fails the client is closed: with ReasonInternal (WebSocket code 1011), or as Refuse says. No
// other event of it is delivered. When the worker dies before Connect has returned, Connect of another
// worker is called. A client whose Connect has cost several workers their link is closed by the
// gateway.
//
// # Contexts
//
// There is one context for all calls of a client; none is made for a call. It is done when what its
// calls do can no longer be committed: when the link to the client's gateway is lost (the cause is
// ErrLinkDown), and when a drain has taken longer than Config.DrainTimeout (ErrDrainTimeout). Pass it
// to what the handler waits for: then the handler gives up when its work has become worthless. It has
// no deadline of its own.
//
// # Buffers
//
// Message.Data of a message from a client is valid until the handler returns: copy what is to be kept.
// What is given to a method is copied before the method returns.
//
// # State
//
// A worker holds no connection and should hold no state that must not be lost. Attributes, uid and
// groups are kept by the gateway, with the connection, and come along when a client moves to another
// worker.
package worker
