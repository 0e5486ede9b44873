package bench

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Mixed is Options.Codec of a run with Options.Mix. Each message is a JSON
// document: all formats can carry it.
const Mixed Codec = "mixed"

// A WireFormat is how some of a run's clients speak, and to which server.
type WireFormat struct {
	Codec   Codec    `json:"codec"`
	Deflate bool     `json:"deflate,omitempty"` // WebSocket: offer and use permessage-deflate
	Window  int      `json:"window,omitempty"`  // with Deflate: server_max_window_bits, 8 to 15; 0: not offered
	Targets []string `json:"targets,omitempty"` // HOST:PORT; the clients of this format are spread over them
}

// WireFormats returns all codecs, and WebSocket with permessage-deflate and
// several windows, without targets.
func WireFormats() (all []WireFormat) {
	for _, c := range Codecs {
		all = append(all, WireFormat{Codec: c})
	}
	for _, w := range []int{0, 9, 12, 15} {
		all = append(all, WireFormat{Codec: WebSocket, Deflate: true, Window: w})
	}
	return all
}

// String returns the name of the format: text, ws, ws-deflate, ws-deflate-9 and so on.
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

// ParseWireFormat returns the one of WireFormats with this name. Its
// error, ErrOptions, lists the names.
func ParseWireFormat(name string) (WireFormat, error) {
	var names []string
	for _, f := range WireFormats() {
		if f.String() == name {
			return f, nil
		}
		names = append(names, f.String())
	}
	return WireFormat{}, bad("format %q: must be one of %s", name, strings.Join(names, ", "))
}

func (f WireFormat) check() error {
	switch {
	case !slices.Contains(Codecs, f.Codec):
		return fmt.Errorf("codec %q: must be one of %v", f.Codec, Codecs)
	case len(f.Targets) == 0:
		return fmt.Errorf("format %s has no target", f)
	case f.Deflate && f.Codec != WebSocket || f.Window != 0 && (!f.Deflate || f.Window < 8 || f.Window > 15):
		return fmt.Errorf("format %s: only ws can compress, with a window of 8 to 15 bits", f)
	}
	return nil
}

// formats are those that the clients speak in turn.
func (o *Options) formats() []WireFormat {
	if len(o.Mix) == 0 {
		return []WireFormat{{Codec: o.Codec, Targets: o.Targets}}
	}
	return o.Mix
}

// format is that of connection i.
func (o *Options) format(i uint32) WireFormat {
	if len(o.Mix) == 0 {
		return WireFormat{Codec: o.Codec, Targets: o.Targets}
	}
	return o.Mix[int(i)%len(o.Mix)]
}

// overheard reports whether p is an intact broadcast of another run (Options.Overheard). Their size
// tells them from the messages of this run.
func (sh *shard) overheard(p []byte) bool {
	if len(p) != sh.opts.Overheard {
		return false
	}
	l := layoutOf(Broadcast, sh.opts.Codec, len(p))
	if len(p) < l.least() || p[l.quote] != verbBroadcast {
		return false
	}
	_, err := readStamp(p[l.stamp:])
	rest, end := p[l.stamp+stampLen:len(p)-l.quote], p[len(p)-l.quote:]
	return err == nil && len(bytes.Trim(rest, "x")) == 0 && (l.quote == 0 || end[0] == '"')
}
