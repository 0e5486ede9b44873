// Package directory keeps the little that several gateways and workers must agree on: who is there,
// who owns what, and which gateways have members of a group.
//
// A row has a key, an owner, a lease, an epoch and a value. At most one owner holds a row: from its
// Claim until it releases the row, or its lease expires at the directory. Each change of owner
// gives the row a larger epoch, the fencing token: whoever acts for a row says its epoch, and
// whoever is acted upon refuses an epoch that is smaller than one it has seen. So an owner that has
// slept through its lease does no harm.
//
//	lease, err := directory.Acquire(ctx, d, directory.LeaseConfig{Key: "room/17", Owner: run})
//	if errors.Is(err, directory.ErrHeld) { ... } // another one has it: lease.Row says who
//	for {
//		select {
//		case <-lease.Lost(): // stop: another may own the row from now on
//		case <-tick.C:       // act, with lease.Epoch()
//		}
//	}
//
// A presence is a set of gateways: those that have members of a group, or connections of a uid.
//
// There are two drivers: Memory, for one gateway, in this package, and Redis, in redisdir. Package
// directorytest has the tests that every driver passes.
//
// # Clocks
//
// The directory's clock decides when a lease expires. Clients measure durations only, by their
// monotonic clocks: an owner stops when half of its lease has passed since it sent the last renewal
// that succeeded. A reader uses a cached set for its lease, from when it sent the request; the
// directory counts it as a reader for twice as long. So client clocks may be wrong by any amount,
// and may run up to twice as slow as the directory's. If the directory's own clock jumps ahead by
// more than half a lease, a lease expires while its owner still acts; then only the epoch protects.
// If it jumps by more than two thirds of EntryTTL, 20 minutes, entries of sets expire before their
// gateways enter them again: a set may lack members for up to a third of EntryTTL, 10 minutes.
package directory
