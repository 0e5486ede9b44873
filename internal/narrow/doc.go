// Package narrow decides which gateways a message to a group or a uid may leave out. It has no I/O,
// no clock and no goroutines. SPEC.md of the link protocol ("Narrow sends") describes the protocol.
//
// A message to a set (a group or a uid) must reach each gateway that holds the set, that is, has
// members of it. The directory knows the holders of each set. Three machines share the work:
//
//   - The Holder of a gateway enters the sets that the gateway holds into the directory. It says
//     when a set is visible: from then on no sender leaves the gateway out.
//   - The Permits of a loop of a gateway are what it has allowed to senders: to leave the gateway
//     out of sets in which the directory does not name it. A permit is a lease. Its holder asks for
//     it again and again on its link to the gateway.
//   - The Sender of a loop or a worker has sets in memory, and the permits of other gateways.
//
// A sender leaves a gateway J out of a message to a set only if all of this is true: it has the set
// in memory; J is not in it; J's permit holds, and began before the sender asked the directory for
// the set; and the permit and the set are of the same generation of the directory, that is, the
// directory has not lost its data between. Otherwise J gets the message.
//
// Why no member is missed. Let J make set k visible at time v, and let a sender decide at a later
// time t that J may be left out. If the sender asked for k after J's entry was in the directory, J
// is in the answer. If it asked before, the directory has named it to J as a reader of k, unless
// its time with the set was over. J has then sent it FORGET on the link that has the permit, and
// has waited for the answer, or until the permit had lapsed. In both cases the sender has forgotten
// the set before t: a permit is renewed on the same link, and so after the FORGET; and a new link
// has a new permit, which is younger than the set. While J cannot do this, because the directory
// does not answer or has lost its data, J is in doubt: it withdraws all permits in the same way,
// and then every set is visible.
//
// Times are durations since any fixed instant of the caller's monotonic clock. Permits are counted
// by the sender from before it asks, and by the gateway from when it answers, and the gateway
// counts a quarter more. So clocks may be wrong by any amount, and may differ in speed by a
// quarter.
package narrow

import "time"

const (
	// PermitTime is how long a sender may use a permit, from when it has asked for it.
	PermitTime = 4 * time.Second
	// lapseTime is when the gateway assumes that the permit is over, from when it has answered.
	lapseTime = PermitTime + PermitTime/4
	// SetTime is how long a sender may use a set, from when it has asked for it.
	SetTime = 5 * time.Minute
	// LookupGateways is the number of gateways up to which a message to a set that is not in memory
	// goes to all of them at once. With more it waits for the directory, LookupTime at most: until the
	// holders are known each message costs a frame for each gateway.
	LookupGateways = 8
	LookupTime     = 100 * time.Millisecond
	// refreshAfter is when a sender asks again for a set that it uses.
	refreshAfter = SetTime * 2 / 3
)

// Token identifies a generation of the directory. 0 is none.
type Token uint64
