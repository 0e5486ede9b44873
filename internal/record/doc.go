// Package record counts calls cheaply: how many, how long they took, and the codes of those that
// failed. It is for code that runs a million times a second.
//
// A goroutine that makes one call after the other has a Batch. It notes a call with one reading of
// a clock, which is the beginning of the next call, too, and without a lock or an allocation. Now
// and then it flushes the batch into a Shard, under a lock that hardly anybody else wants. Other
// goroutines add their calls to a shard at once. Take collects what all shards have counted.
package record
