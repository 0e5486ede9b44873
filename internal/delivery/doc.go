// Package delivery decides what happens to the messages of clients between the gateway and its
// workers. It is a machine: events go in, and it calls its Host for what follows from them. It
// knows no sockets, goroutines and clock, and allocates nothing once it is warm.
//
// A Book is the state of one event loop. A Client in it is in one of eight States. It owns what is
//
//   - queued: messages that wait for a worker, for its credit, or for the client's own
//     acknowledgements (Queue);
//   - in flight: events that were sent to a worker and are not acknowledged, as runs of equal
//     events in the buffers that were written to the link (flight.go);
//   - moving: a client goes to another worker when its worker has acknowledged everything;
//   - parked: a client without a worker and without messages is adopted at a pace (adopt.go);
//   - tried: the oldest event of a client that may end its worker is sent alone (trial.go).
//
// A Link is the state of a link: its window, the buffers with events in flight, and the lanes of
// clients that wait for credit (window.go, lanes.go, credit.go).
//
// The order of a client's events never changes: what is in flight goes before what is queued, also
// when a link has ended, and a client has one worker at a time. ARCHITECTURE.md has the table of
// transitions. Verify has the combinations that are forbidden.
package delivery
