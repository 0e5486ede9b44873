package worker

import (
	"fmt"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// rule is what SPEC.md says of one type of frame from a gateway, as far as its header goes.
type rule struct {
	known   bool
	flags   uint8 // that it may have
	payload bool  // it may have one, which is looked at by who reads it
}

// rules are those of all types: what has none comes from no gateway.
var rules = [...]rule{
	link.Attach:  {true, link.FlagNew, true},
	link.Message: {true, link.FlagText | link.FlagRedelivered, true},
	link.Detach:  {true, link.FlagMoved, false},
	link.Attrs:   {true, 0, true},
	link.Reply:   {true, link.FlagPartial, true},
	link.Ping:    {true, 0, false},
	link.Pong:    {true, 0, false},
	link.Drain:   {true, 0, false},
	link.GoAway:  {true, 0, true},
}

// check holds a frame of a gateway's against the rule of its type.
func check(f *link.Frame) error {
	if int(f.Type) >= len(rules) || !rules[f.Type].known {
		return fmt.Errorf("%w: %v from a gateway", link.ErrFrame, f.Type)
	}
	r := rules[f.Type]
	if more := f.Flags &^ r.flags; more != 0 {
		return fmt.Errorf("%w: flags %#02x of %v", link.ErrFrame, more, f.Type)
	}
	if !r.payload && len(f.Payload) > 0 {
		return badPayload(f)
	}
	return nil
}

func badPayload(f *link.Frame) error { return fmt.Errorf("%w: payload of %v", link.ErrFrame, f.Type) }
