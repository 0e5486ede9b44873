package gateway

import (
	"net/url"
	"strings"
)

// upgradePath is the paths on which a listener opens WebSockets. The zero value is all paths.
type upgradePath struct {
	path  string // as returned by normal; empty: any
	below bool   // all paths below it too
}

// newUpgradePath parses the escaped path of a listener's URL. A path that ends in /* includes all
// paths below it.
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

// has reports whether WebSockets are opened on the path of a request. A final slash and percent
// encoding make no difference.
func (p upgradePath) has(path string) bool {
	if p.path == "" {
		return true
	}
	path = normal(path)
	return path == p.path || p.below && strings.HasPrefix(path, p.path+"/")
}

// normal returns the common form of equivalent paths: without escapes except / and %, which have
// another meaning unescaped, and without a final slash. Invalid escapes are kept.
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
