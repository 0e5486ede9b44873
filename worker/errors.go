package worker

import "errors"

// Errors of a Worker, of calls, and of contexts.
var (
	// ErrLinkDown is returned when there is no link to the gateway concerned.
	ErrLinkDown = errors.New("worker: no link to the gateway")
	// ErrUnitTooLarge makes a call fail whose effects take more than 4 MiB. One effect alone may have
	// up to 16 MiB.
	ErrUnitTooLarge = errors.New("worker: the effects of a call are too large")
	// ErrTooBig is returned for what has no room in a frame: a message of more than 16 MiB with what
	// stands before it, a uid or group of more than 1,024 bytes, a key of more than 65,535, a list of
	// more than 65,535 names or clients. It is returned too for attributes of more than 1 MiB. Nothing has been done then.
	ErrTooBig = errors.New("worker: too big")
	// ErrInvalid is returned for an argument that has no meaning, such as the zero Target.
	ErrInvalid = errors.New("worker: invalid")
	// ErrEmpty is returned for an empty uid, group or attribute key.
	ErrEmpty = errors.New("worker: empty name")
	// ErrGone is returned when the client is not connected any more, or was never: its id names an
	// event loop that its gateway does not have.
	ErrGone = errors.New("worker: client is gone")
	// ErrConflict is returned when the attributes have changed since the version given.
	ErrConflict = errors.New("worker: attributes have changed")
	// ErrTooMany makes a call fail that sets a timer when MaxTimers timers of the client wait.
	ErrTooMany = errors.New("worker: too many timers of a client")
	// ErrPartial is returned beside a usable answer that is not all there is: some gateways gave none,
	// or one of their event loops did not.
	ErrPartial = errors.New("worker: partial answer")
	// ErrRefused is returned when a gateway could not carry out what was asked.
	ErrRefused = errors.New("worker: refused by the gateway")
	// ErrPanic is wrapped by the error of a call that has panicked or has ended its goroutine.
	ErrPanic = errors.New("worker: panic")
	// ErrCallEnded is returned by Flush when the handler has returned.
	ErrCallEnded = errors.New("worker: the call has ended")
	// ErrDrainTimeout is the cause (context.Cause) of a handler's context that is done because Run has
	// waited for Config.DrainTimeout.
	ErrDrainTimeout = errors.New("worker: drain timeout")
	// ErrHandlersRunning is returned by Run when handlers have not returned in time. They go on, without a link.
	ErrHandlersRunning = errors.New("worker: handlers have not returned")
)
