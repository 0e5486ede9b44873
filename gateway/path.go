package gateway

import (
	"net/url"
	"slices"
	"strings"

	"github.com/seed-7410fe32/sluice/codec"
)

// upgradePath is the paths on which a listener opens WebSockets. The zero value is all of them.
type upgradePath struct {
	path  string // as normal has it; empty: any
	below bool   // and all paths below it
}

// newUpgradePath reads the path of a listener's URL, in its escaped form. One that ends in /* is for all paths below it too.
func newUpgradePath(escaped string) upgradePath {
	path, below := strings.CutSuffix(escaped, "/*")
	switch {
	case below && path == "":
		return upgradePath{}
	case below:
		return upgradePath{normal(path), true}
	}
	return upgradePath{path: normal(path)}
}

// has reports whether WebSockets are opened on a path, as a request has it. A slash at its end makes no difference, nor does the way in which a character is written.
func (p upgradePath) has(path string) bool {
	if p.path == "" {
		return true
	}
	path = normal(path)
	return path == p.path || p.below && strings.HasPrefix(path, p.path+"/")
}

// normal brings paths that mean the same into one form: no character escaped but / and %, which mean something else when they are not, and no slash at the end.
// What is no escape sequence stays as it is.
func normal(path string) string {
	if len(path) > 1 {
		path = strings.TrimSuffix(path, "/")
	}
	if !strings.Contains(path, "%") {
		return path
	}
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if i+3 <= len(path) && path[i] == '%' {
			if c, err := url.PathUnescape(path[i : i+3]); err == nil {
				if c == "/" || c == "%" {
					c = strings.ToUpper(path[i : i+3])
				}
				b.WriteString(c)
				i += 2
				continue
			}
		}
		b.WriteByte(path[i])
	}
	return b.String()
}

// takeOptions takes over what the query of a listener's URL says: subprotocol=NAME[,NAME], which stands before the field.
func (l *ListenerConfig) takeOptions(u *url.URL) *ConfigError {
	options, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return invalid("URL", "%q: %w", l.URL, err)
	}
	for name, values := range options {
		switch name {
		case "subprotocol":
			l.Subprotocols = strings.Split(strings.Join(values, ","), ",")
		default:
			return invalid("URL", "%q: there is no option %q, only subprotocol=NAME[,NAME]", l.URL, name)
		}
	}
	for i, name := range l.Subprotocols {
		switch {
		case !codec.IsToken(name):
			return invalid("Subprotocols", "%q is no name of a sub-protocol", name)
		case slices.Contains(l.Subprotocols[:i], name):
			return invalid("Subprotocols", "%q stands there twice", name)
		}
	}
	return nil
}
