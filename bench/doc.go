// Package bench makes load on a server and measures it.
//
// Run opens connections, makes the load that Options describe, and returns a Report: rate, latency,
// CPU time per message and memory per connection of each server process. In a closed loop a fixed
// number of messages is in flight, and latency hides queueing. In an open loop (Options.Rate)
// messages are due at fixed times, and latency counts from the time a message was due. All senders
// of all generator processes share one schedule.
//
// Every message carries its stream, its sequence number and a check. A run fails if a message is
// lost, duplicated, reordered or changed in any byte, or if a connection never gets its answer.
// The Audit covers every connection of the run, including those that were closed. A run is not
// Verdict.Valid if the generator was the limit, or if other programs or the hypervisor took more
// than a tenth of the processors.
//
// Rates cover the time that was measured. Latency covers the messages due in Options.Window. An
// interrupted run reports what it measured; if that is nothing, Run returns only an error.
//
// Mode Chat is a mix. Users log in, which binds their UID, join their room, and then act. Of 100
// actions, 85 send a message to the room, 10 send a private message to the neighbour by UID, with a
// copy to the sender, 4 leave the room and come back later, and 1 closes the connection and dials
// again.
//
// Options.Targets are running servers, of this module or not. Options.Envelope describes the login
// and the messages of another protocol.
//
// Worker is the business logic for the modes that need one. Package bench/report writes reports,
// bench/tune tries settings, and bench/soak keeps load running while workers and links fail.
package bench
