package worker

import (
	"fmt"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// rule is what SPEC.md allows in the header of one type of frame from a gateway.
type rule struct {
	known   bool
	flags   uint8 // flags that are allowed
	payload bool  // a payload is allowed; the code that reads it checks it
}

// rules are the rules of all types that a gateway may send.
var rules = [...]rule{
	link.Attach:  {true, link.FlagNew, true},
	link.Message: {true, link.FlagText | link.FlagRedelivered, true},
	link.Detach:  {true, link.FlagMoved, false},
	link.Attrs:   {true, 0, true},
	link.Reply:   {true, link.FlagPartial, true},

	link.Authenticate: {true, 0, true},
	link.Permit:       {true, 0, false},
	link.Forget:       {true, 0, true},
	link.Ping:         {true, 0, false},
	link.Pong:         {true, 0, false},
	link.Drain:        {true, 0, false},
	link.GoAway:       {true, 0, true},
}

// check returns an error if a frame from a gateway violates the rule of its type.
func check(f *link.Frame) error {
	if int(f.Type) >= len(rules) || !rules[f.Type].known {
		return fmt.Errorf("%w: a gateway must not send %v", link.ErrFrame, f.Type)
	}
	r := rules[f.Type]
	if more := f.Flags &^ r.flags; more != 0 {
		return fmt.Errorf("%w: flags %#02x are not allowed in %v", link.ErrFrame, more, f.Type)
	}
	if !r.payload && len(f.Payload) > 0 {
		return badPayload(f)
	}
	return nil
}

func badPayload(f *link.Frame) error {
	return fmt.Errorf("%w: invalid payload of %v", link.ErrFrame, f.Type)
}
