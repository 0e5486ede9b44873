package bench

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Mixed is Options.Codec of a run whose clients speak the formats of Options.Mix. Each message is a JSON document then, which all of them can carry.
const Mixed Codec = "mixed"

// A WireFormat is how some of a run's clients speak, and where.
type WireFormat struct {
	Codec   Codec    `json:"codec"`
	Deflate bool     `json:"deflate,omitempty"` // WebSocket: permessage-deflate is offered, and what is sent is compressed
	Window  int      `json:"window,omitempty"`  // with Deflate: the server_max_window_bits asked for, 8 to 15; 0: none
	Targets []string `json:"targets,omitempty"` // HOST:PORT; its clients are spread over them
}

// WireFormats are all codecs, and WebSocket with permessage-deflate and several windows. They have no targets.
func WireFormats() []WireFormat {
	var all []WireFormat
	for _, c := range Codecs {
		all = append(all, WireFormat{Codec: c})
	}
	for _, w := range []int{0, 9, 12, 15} {
		all = append(all, WireFormat{Codec: WebSocket, Deflate: true, Window: w})
	}
	return all
}

// String is the format's name: ws, ws-deflate, ws-deflate-9, text …
func (f WireFormat) String() string {
	name := string(f.Codec)
	if f.Deflate {
		name += "-deflate"
		if f.Window > 0 {
			name += fmt.Sprintf("-%d", f.Window)
		}
	}
	return name
}

// ParseWireFormat finds the one of WireFormats that has the name. Its error, ErrOptions, names them all.
func ParseWireFormat(name string) (WireFormat, error) {
	var names []string
	for _, f := range WireFormats() {
		if f.String() == name {
			return f, nil
		}
		names = append(names, f.String())
	}
	return WireFormat{}, fmt.Errorf("%w: there is no format %q: it is one of %s", ErrOptions, name, strings.Join(names, ", "))
}

func (f WireFormat) check() error {
	switch {
	case !slices.Contains(Codecs, f.Codec):
		return fmt.Errorf("there is no codec %q", f.Codec)
	case len(f.Targets) == 0:
		return fmt.Errorf("format %s has no target", f)
	case f.Deflate && f.Codec != WebSocket || f.Window != 0 && (!f.Deflate || f.Window < 8 || f.Window > 15):
		return fmt.Errorf("format %s: only WebSocket compresses, with a window of 8 to 15 bits", f)
	}
	return nil
}

// format is that of connection i.
func (o *Options) format(i uint32) WireFormat {
	if len(o.Mix) == 0 {
		return WireFormat{Codec: o.Codec, Targets: o.Targets}
	}
	return o.Mix[int(i)%len(o.Mix)]
}

// target is the server of connection i.
func (o *Options) target(i int) string {
	targets := o.format(uint32(i)).Targets
	return targets[i/max(len(o.Mix), 1)%len(targets)]
}

// overheard tells whether p is a whole broadcast of another run, which the options have announced. Those are told from the run's own messages by their size, so that these
// cost nothing more.
func (l *shard) overheard(p []byte) bool {
	if len(p) != l.opts.Overheard {
		return false
	}
	foreign := layoutOf(Broadcast, l.opts.Codec, len(p))
	if len(p) < foreign.least() || p[foreign.quote] != verbBroadcast {
		return false
	}
	_, err := readStamp(p[foreign.stamp:])
	rest, end := p[foreign.stamp+stampLen:len(p)-foreign.quote], p[len(p)-foreign.quote:]
	return err == nil && len(bytes.Trim(rest, "x")) == 0 && (foreign.quote == 0 || end[0] == '"')
}
