// Package bench drives load at a server and says what it cost.
//
// Run opens connections, makes the load that Options say and returns a Report: rate, latency, CPU time a message and memory a connection of each server process; of
// connections that say nothing, CPU time a connection and second. In a closed loop a fixed number of messages is in flight, and latency hides queueing; in an open loop
// (Options.Rate) messages are due at fixed times, one grid for all senders of all processes, and latency counts from when they were due.
//
// Every message carries its stream, its sequence and a check. A message that is lost, repeated, out of order or changed in any byte makes the run fail, and so does a
// connection that never got its answer: at the end the account of every connection that ever was is in the Audit. A run in which the generator itself was the limit, or other
// programs or the hypervisor took more than a tenth of the processors, is not Verdict.Valid.
//
// Rates are over the time that was measured, latency is of what was due in Options.Window. A run that is interrupted reports on what it measured; where nothing was, there is
// the error alone.
//
// Mode Chat is a mix: people log in, which binds their uid, join their room, and then do one thing after the other. Of a hundred, 85 are said to the room, 10 are private
// messages to the neighbour, by uid, of which the sender gets a copy, 4 are a leave with the return a while later, and 1 is a connection given up and made anew.
//
// Options.Targets are servers that run already, of this make or another: Options.Envelope is what such a server wants before the load and around a message.
//
// Worker is the business behind the modes that need one. Package bench/report makes of reports what is read, bench/tune tries what can be set, bench/soak keeps load
// running while workers and links fail.
package bench
