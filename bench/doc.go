// Package bench drives load at a server and says what it cost.
//
// An Echo opens connections and keeps a fixed number of messages in flight on each (a closed loop: latency hides queueing, so it reports
// throughput and CPU time per message, not latency). Every message carries its connection and sequence; what comes back is checked, and a
// lost, duplicated or reordered message makes the run fail.
package bench
