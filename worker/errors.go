package worker

import "errors"

// Errors that methods return, or that fail a call or end its context.
var (
	// ErrLinkDown is returned when there is no link to the client's gateway, or to any gateway.
	ErrLinkDown = errors.New("worker: no link to the gateway")
	// ErrUnitTooLarge fails a call whose effects together take more than 4 MiB. A single effect may
	// take up to 16 MiB.
	ErrUnitTooLarge = errors.New("worker: the effects of a call are too large")
	// ErrTooBig is returned for an argument that does not fit into a frame: a message that takes
	// more than 16 MiB with its target and keys, a uid or group name of more than 1,024 bytes, an
	// attribute key of more than 65,535 bytes, a list of more than 65,535 names or clients. It is
	// also returned for attributes of more than 1 MiB. The method has had no effect.
	ErrTooBig = errors.New("worker: argument too large")
	// ErrInvalid is returned for an argument that has no meaning, such as the zero Target.
	ErrInvalid = errors.New("worker: invalid argument")
	// ErrEmpty is returned for an empty uid, group or attribute key.
	ErrEmpty = errors.New("worker: empty name")
	// ErrGone is returned when the client is not connected, or when its id names an event loop that
	// its gateway does not have.
	ErrGone = errors.New("worker: client is not connected")
	// ErrConflict is returned when the attributes have changed since the given version.
	ErrConflict = errors.New("worker: attributes have changed")
	// ErrTooMany fails a call that sets a timer while MaxTimers timers of its client are pending.
	ErrTooMany = errors.New("worker: too many timers of a client")
	// ErrPartial is returned with an answer that is usable but incomplete, because a gateway or one
	// of its event loops has not answered.
	ErrPartial = errors.New("worker: partial answer")
	// ErrRefused is returned when a gateway cannot carry out a command.
	ErrRefused = errors.New("worker: refused by the gateway")
	// ErrNoInvoke is returned by Invoke when no gateway has a function for it.
	ErrNoInvoke = errors.New("worker: no gateway has an OnInvoke")
	// ErrInvoke is returned by Invoke when the function has failed or has taken too long.
	ErrInvoke = errors.New("worker: the gateway's OnInvoke has failed")
	// ErrPanic is wrapped by the error of a call whose handler has panicked or has ended its
	// goroutine.
	ErrPanic = errors.New("worker: panic")
	// ErrCallEnded is returned by Flush after the handler has returned.
	ErrCallEnded = errors.New("worker: the call has ended")
	// ErrDrainTimeout is the cause (context.Cause) of a handler's context that is done because the
	// drain has taken longer than Config.DrainTimeout.
	ErrDrainTimeout = errors.New("worker: drain timeout")
	// ErrHandlersRunning is returned by Run when handlers have not returned in time. They keep
	// running without a link.
	ErrHandlersRunning = errors.New("worker: handlers have not returned")
)
