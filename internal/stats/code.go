package stats

import (
	"context"
	"errors"
	"math"
)

// These are the codes of errors that have none of their own.
const (
	codeError   = 1
	codeTimeout = 504
)

// CodeOf returns the code of a call that has failed with err: what its method Code returns, if that
// is more than 0; else 504 if something took too long; else 1. Methods of err may panic.
func CodeOf(err error) (code uint32) {
	defer func() {
		if recover() != nil {
			code = codeError
		}
	}()
	var coded interface{ Code() int }
	var timed interface{ Timeout() bool }
	switch {
	case errors.As(err, &coded) && coded.Code() > 0 && uint64(coded.Code()) <= math.MaxUint32:
		return uint32(coded.Code())
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timed) && timed.Timeout():
		return codeTimeout
	}
	return codeError
}

// TextOf returns the text of an error, also if its method panics.
func TextOf(err error) (text string) {
	defer func() {
		if recover() != nil {
			text = "the error's method Error has panicked"
		}
	}()
	return err.Error()
}
