// Package executor runs the events of many clients: those of one client in order and one at a time,
// those of different clients side by side. It knows no sockets, frames or effects.
//
// A Source is where events come from. It has a leader: the goroutine that asks the source for the
// next event and runs it itself. So no goroutine is woken for an event and none is switched to.
//
//	           ask the source              run the event             it returns
//	leading ───────────────────▶ leading ───────────────▶ in a call ───────────▶ leading
//	                                                          │ it blocks
//	                                                          ▼
//	                             taken over: a new goroutine leads the source
//	                                                          │ it returns
//	                                                          ▼
//	                             runs what waits for the client, and ends
//
// A call has blocked when Watch finds it still running a tick later, or when it says so (Block). A
// client whose own goroutine needs longer than a tick for an event is told so (Actor.Blocked).
//
// When one call blocks, others often do as well, for example on a slow database. Therefore the
// events of a source go to goroutines of their own for a while after a call that blocked, one
// goroutine for each client. Then many calls can block at once without a takeover for each.
//
// A Client is idle, led, or has a goroutine of its own. Events that come while it is not idle wait
// in its queue. The goroutine of its own runs the queue until it is empty, and ends.
//
//	state | an event comes                    | the call returns      | the call blocks | queue empty
//	idle  | led; own after a call has blocked | -                     | -               | -
//	led   | it waits in the queue             | idle; own if any waits | own            | -
//	own   | it waits in the queue             | the next is run       | -               | idle
//
// A source may end and its clients come again by another one, while calls of theirs run. A client
// that comes with an ID whose goroutine still works waits for it: that goroutine continues with the
// new client.
//
// There are two kinds of locks, and no goroutine holds two of them. Client.Mu guards the state of
// one client. Executor.mu guards the set of goroutines. Both are held for a few instructions.
package executor
