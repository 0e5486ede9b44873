package gateway

import (
	"fmt"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// rule is what SPEC.md requires of one type of frame from a worker, and where it is executed.
type rule struct {
	payload payload
	flags   uint8 // allowed flags
	where   where
}

// where says which loop or gateway executes a command.
type where uint8

const (
	atLink    where = iota // no command: the link that it came by handles it
	atClient               // the loop of the client that it is about
	atAll                  // all loops, or the one that it names
	atCursor               // the loop that its cursor names
	atGateway              // another gateway
)

const (
	sendFlags = link.FlagText | link.FlagRaw | link.FlagOverflow | link.FlagLatest | link.FlagResult
	kickFlags = link.FlagText | link.FlagLast | link.FlagNow | link.FlagRefused | link.FlagResult
	bindFlags = link.FlagOwn | link.FlagExclusive | link.FlagResult
	setFlags  = link.FlagOwn | link.FlagMerge | link.FlagCompare | link.FlagResult
)

// rules are the rules by type. A type without a rule is invalid from a worker, and in a RELAY from
// another gateway.
var rules = [...]rule{
	link.Unit:          {anything, link.FlagLeft | link.FlagEarly, atLink}, // checkUnit checks its frames
	link.Blocked:       {nothing, 0, atLink},
	link.Relay:         {anything, 0, atGateway}, // see checkRelay
	link.Peers:         {peers, 0, atLink},
	link.Send:          {message, sendFlags, atClient},
	link.Kick:          {lastMessage, kickFlags, atClient},
	link.Bind:          {binding, bindFlags, atClient},
	link.Unbind:        {version, link.FlagOwn | link.FlagResult, atClient},
	link.Join:          {name, link.FlagResult, atClient},
	link.Leave:         {name, link.FlagResult, atClient},
	link.Set:           {change, setFlags, atClient},
	link.Publish:       {publication, sendFlags | link.FlagFar, atAll},
	link.Dissolve:      {name, link.FlagFar | link.FlagResult, atAll},
	link.Evict:         {eviction, 0, atAll}, // from other gateways only
	link.Count:         {targets, link.FlagResult, atAll},
	link.Select:        {selection, link.FlagResult, atCursor},
	link.Invoke:        {anything, 0, atLink},
	link.Authenticates: {nothing, 0, atLink},
	link.Identity:      {anything, 0, atLink},
	link.Locate:        {anything, 0, atLink}, // see workerLink.locate
	link.Ask:           {nothing, 0, atLink},
	link.Forgotten:     {nothing, 0, atLink},
	link.Report:        {anything, 0, atLink},
	link.Ping:          {nothing, 0, atLink},
	link.Pong:          {nothing, 0, atLink},
	link.Drain:         {nothing, 0, atLink},
	link.GoAway:        {anything, 0, atLink},
}

// wellFormed checks a frame against the rule of its type.
func wellFormed(f *link.Frame) error {
	if int(f.Type) >= len(rules) || rules[f.Type].payload == unknown {
		return fmt.Errorf("%w: a worker must not send type %d", link.ErrFrame, f.Type)
	}
	r := rules[f.Type]
	if more := f.Flags &^ r.flags; more != 0 {
		return fmt.Errorf("%w: flags %#02x are not allowed in %v", link.ErrFrame, more, f.Type)
	}
	if !r.payload.fits(f) {
		return fmt.Errorf("%w: invalid payload of %v", link.ErrFrame, f.Type)
	}
	return nil
}

// isCommand reports whether a unit may hold frames of the type. They may also come alone.
func isCommand(t link.Type) bool {
	return int(t) < len(rules) && rules[t].where != atLink && t != link.Evict
}

// check checks a worker's command before anything is executed. A checked command can be executed on
// every loop of the gateway.
func (g *Gateway) check(f *link.Frame) error {
	return check(f, len(g.loops))
}

// check does that for a gateway with a number of loops.
func check(f *link.Frame, loops int) error {
	if f.Type == link.Send && f.Flags&(link.FlagLatest|^uint8(sendFlags)) == 0 && int(f.Code) < loops {
		return nil // by far the most frequent
	}
	if !isCommand(f.Type) {
		return fmt.Errorf("%w: %v is not a command of a worker", link.ErrFrame, f.Type)
	}
	if err := wellFormed(f); err != nil {
		return err
	}
	switch rules[f.Type].where {
	case atClient:
		if int(f.Code) >= loops {
			return fmt.Errorf("%w: there is no loop %d", link.ErrFrame, f.Code)
		}
	case atAll:
		if f.Type != link.Count && (int(f.Slot) > loops || f.Slot > 0 && f.Has(link.FlagFar)) {
			return fmt.Errorf("%w: there is no loop %d", link.ErrFrame, f.Slot)
		}
	case atCursor:
		c := link.Read(f.Payload)
		c.Take(1 + 4) // fields, limit
		if at := c.U64() >> cursorBits; at >= uint64(loops) {
			return fmt.Errorf("%w: there is no loop %d", link.ErrFrame, at)
		}
	case atGateway:
		return checkRelay(f)
	}
	return nil
}

// checkAnswer checks a SEND that is a unit, for a client of the loop.
func (g *Gateway) checkAnswer(f *link.Frame, loop uint8) error {
	const usual = sendFlags&^(link.FlagLatest|link.FlagResult) | link.FlagHandled
	if f.Flags&^uint8(usual) == 0 && f.Code == uint16(loop) {
		return nil
	}
	plain := *f
	plain.Flags &^= link.FlagHandled
	switch {
	case f.Has(link.FlagResult):
		return fmt.Errorf("%w: a result is not allowed in a SEND that acknowledges", link.ErrFrame)
	case f.Code != uint16(loop):
		return fmt.Errorf("%w: a SEND that acknowledges is for loop %d: must be for loop %d", link.ErrFrame, f.Code, loop)
	}
	return g.check(&plain)
}

// checkRelay checks the inner frame, except for its loop: only the other gateway knows how many
// loops it has.
func checkRelay(f *link.Frame) error {
	inner, err := within(f)
	if err != nil {
		return err
	}
	if !isCommand(inner.Type) || rules[inner.Type].where != atClient || inner.Has(link.FlagResult) {
		return fmt.Errorf("%w: type %d is not allowed in a frame of type %d", link.ErrFrame, inner.Type, f.Type)
	}
	return check(&inner, maxLoops)
}

// checkArrival checks a command from another gateway.
func (g *Gateway) checkArrival(f *link.Frame) error {
	if f.Has(link.FlagResult) {
		return fmt.Errorf("%w: a result is not allowed in a frame of type %d", link.ErrFrame, link.Relay)
	}
	switch f.Type {
	case link.Publish, link.Dissolve:
		if f.Has(link.FlagFar) {
			return fmt.Errorf("%w: a relayed command must not be relayed again", link.ErrFrame)
		}
	case link.Send, link.Kick, link.Bind, link.Unbind, link.Join, link.Leave, link.Set:
	case link.Evict:
		return wellFormed(f)
	default:
		return fmt.Errorf("%w: type %d is not allowed in a frame of type %d", link.ErrFrame, f.Type, link.Relay)
	}
	return g.check(f)
}

// within returns the one frame in the payload of a RELAY.
func within(f *link.Frame) (inner link.Frame, err error) {
	if f.Type != link.Relay {
		return inner, fmt.Errorf("%w: a gateway must not send type %d", link.ErrFrame, f.Type)
	}
	n, err := link.Next(f.Payload, link.MaxFrame, &inner)
	if err == nil && (n == 0 || n != len(f.Payload)) {
		err = fmt.Errorf("%w: a frame of type %d must have one command", link.ErrFrame, f.Type)
	}
	return inner, err
}

// checkUnit checks all frames of a unit.
func (g *Gateway) checkUnit(in []byte) error {
	for len(in) > 0 {
		var f link.Frame
		n, err := link.Next(in, link.MaxFrame, &f)
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%w: truncated frame in a unit", link.ErrFrame)
		}
		if err := g.check(&f); err != nil {
			return err
		}
		in = in[n:]
	}
	return nil
}
