package gateway

import (
	"errors"
	"fmt"
	"syscall"
)

// ConfigError is returned by New for a Config that is invalid.
type ConfigError struct {
	Field string // of Config, for example Listeners[0].URL
	Err   error  // what is wrong with it
}

// Error names the field and says what is wrong.
func (e *ConfigError) Error() string { return "gateway: Config." + e.Field + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *ConfigError) Unwrap() error { return e.Err }

func invalid(field, format string, args ...any) *ConfigError {
	return &ConfigError{field, fmt.Errorf(format, args...)}
}

// ListenError is returned by Run when an address of the Config cannot be listened on, for example
// because it is in use.
type ListenError struct {
	Field string // of Config: WorkerAddr, or for example Listeners[0].URL
	Addr  string // its value
	Err   error
}

// Error names the address and says what is wrong.
func (e *ListenError) Error() string { return "gateway: listen on " + e.Addr + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *ListenError) Unwrap() error { return e.Err }

func listenError(field, addr string, err error) error {
	return &ListenError{field, addr, inUse(err)}
}

// inUse adds what to do when an address is in use.
func inUse(err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w: stop the program that listens there, or choose another port", err)
	}
	return err
}
