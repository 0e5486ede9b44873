package worker

import "context"

// Resolver finds the gateways while the worker runs. worker/discover has one for DNS, and package
// directory one for Redis.
//
// A new address in the list is dialled at once. An address that is no longer listed keeps its links
// as long as a gateway answers there: gateways that drain have clients to the end. When none
// answers, the worker gives the address up (Stats.GatewaysGivenUp).
type Resolver interface {
	// Watch calls set with the worker addresses of all gateways, as host:port: as soon as it knows
	// them, and after each change. It returns when ctx is done. An empty list changes nothing, so
	// that a source that has lost its contents costs no link. If Watch does not know the addresses
	// at the moment, it does not call set. set does not block, and keeps the slice.
	//
	// The order matters only for Worker.Invoke. It must be the same for all workers then, and a
	// gateway that joins should be the last one.
	Watch(ctx context.Context, set func(addrs []string))
	// LinkLost tells that a link to a gateway was lost, or could not be made, so that the list may
	// have changed. It is called often, by any goroutine, and must not block.
	LinkLost()
}
