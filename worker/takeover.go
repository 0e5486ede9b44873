package worker

import "github.com/seed-7410fe32/sluice/internal/link"

// Takeover says why this worker has taken over a client, and how. Handler.Adopt gets it.
type Takeover struct {
	Cause Cause
	// Redelivered is how many messages of the client are delivered again. They are its next ones and
	// are marked Message.Redelivered. Their handlers may have run before.
	Redelivered int
}

// Cause is why a worker has taken over a client.
type Cause uint8

// Causes of takeovers. After CauseLinkLost the client comes back to the worker that had it, whose
// memory is still there. After the others it comes from another worker; Adopt may have been called
// for it before, if the link was lost before that was acknowledged.
const (
	CauseDied     = Cause(link.CauseDied)     // the former worker has ended or cannot be reached
	CauseDrained  = Cause(link.CauseDrained)  // the former worker drains
	CauseMoved    = Cause(link.CauseMoved)    // the gateway has moved the client from another worker
	CauseLinkLost = Cause(link.CauseLinkLost) // the link between the gateway and this worker was lost
)

// String returns the cause in words.
func (c Cause) String() string { return link.Cause(c).String() }
