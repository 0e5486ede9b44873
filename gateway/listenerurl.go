package gateway

import (
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/seed-7410fe32/sluice/codec"
	"github.com/seed-7410fe32/sluice/internal/valid"
)

// checkURL checks URL, and that the other fields fit its protocol. It sets Subprotocols from the
// URL's options.
func (l *ListenerConfig) checkURL() *ConfigError {
	scheme, rest, ok := strings.Cut(l.URL, "://")
	protocol, secured := protocolOf(l.URL)
	switch {
	case l.Codec != nil && protocol != "tcp":
		return invalid("Codec", "%q: only a tcp:// listener has one", l.URL)
	case l.Codec == nil && (!ok || protocols[protocol] == nil):
		return invalid("URL", "%q does not begin with one of ws://, text://, json://, jsonl://, frame://, or with TLS "+
			"wss://, tls+text:// and so on%s", l.URL, meant(scheme, rest, ok))
	case secured && l.TLS == nil:
		return invalid("TLS", "%q needs a certificate and its key", l.URL)
	case !secured && l.TLS != nil:
		return invalid("TLS", "%q: only a wss:// or tls+...:// listener has it", l.URL)
	}
	u, err := url.Parse(l.URL)
	if err != nil {
		return invalid("URL", "%w", err)
	}
	switch err := valid.Port(u.Port()); {
	case err != nil && u.Port() == "":
		return invalid("URL", "%q needs host:port, for example %s://%s",
			l.URL, scheme, net.JoinHostPort(u.Hostname(), "7272"))
	case err != nil:
		return invalid("URL", "%q: %w", l.URL, err)
	}
	if err := l.takeOptions(u, protocol); err != nil || protocol == "ws" {
		return err
	}
	if u.Path != "" {
		return invalid("URL", "%q: only a ws:// listener has a path or a subprotocol", l.URL)
	}
	if field := l.webSocketField(); field != "" {
		return invalid(field, "%q: only a ws:// listener has it", l.URL)
	}
	return nil
}

// webSocketField returns a field that is set and has no meaning without WebSockets; empty: there is
// none.
func (l *ListenerConfig) webSocketField() string {
	switch {
	case l.Page != nil:
		return "Page"
	case l.OnUpgrade != nil:
		return "OnUpgrade"
	case l.Authenticate:
		return "Authenticate"
	case l.OnRefresh != nil:
		return "OnRefresh"
	case l.TokenSubprotocol != "":
		return "TokenSubprotocol"
	case len(l.MaskQuery) > 0:
		return "MaskQuery"
	case len(l.Origins) > 0:
		return "Origins"
	case len(l.Hosts) > 0:
		return "Hosts"
	case len(l.Subprotocols) > 0:
		return "Subprotocols"
	case len(l.KeepHeaders) > 0:
		return "KeepHeaders"
	case len(l.ProxyHeaders) > 0:
		return "ProxyHeaders"
	}
	return ""
}

// takeOptions sets Subprotocols and RequireProxy from the options of the URL.
func (l *ListenerConfig) takeOptions(u *url.URL, protocol string) *ConfigError {
	options, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return invalid("URL", "%q: %w", l.URL, err)
	}
	for name, values := range options {
		switch value := strings.Join(values, ","); {
		case name == "proxy" && value == "required":
			l.RequireProxy = true
		case name == "proxy":
			return invalid("URL", "%q: proxy=%s: must be proxy=required", l.URL, value)
		case name == "subprotocol" && protocol == "ws":
			l.Subprotocols = strings.Split(value, ",")
		case protocol == "ws":
			return invalid("URL", "%q: there is no option %q, only subprotocol=NAME[,NAME] and proxy=required", l.URL, name)
		case name == "subprotocol":
			return invalid("URL", "%q: only a ws:// listener has a path or a subprotocol", l.URL)
		default:
			return invalid("URL", "%q: there is no option %q, only proxy=required", l.URL, name)
		}
	}
	return nil
}

// meant suggests a URL for one that is not valid.
func meant(scheme, rest string, hasScheme bool) string {
	switch {
	case !hasScheme && scheme == "":
		return ""
	case !hasScheme:
		return fmt.Sprintf(": for WebSocket write ws://%s", scheme)
	}
	switch strings.ToLower(scheme) {
	case "wss", "https", "tls+ws":
		return fmt.Sprintf(": for WebSocket and its page over TLS write wss://%s", rest)
	case "tls", "ssl", "tls+tcp":
		return fmt.Sprintf(": for lines of text over TLS write tls+text://%s", rest)
	case "http", "websocket", "ws":
		return fmt.Sprintf(": for WebSocket and its page write ws://%s", rest)
	case "tcp", "telnet", "line", "lines":
		return fmt.Sprintf(": for lines of text write text://%s (tcp:// needs a Codec)", rest)
	}
	return ""
}

// checkProxies checks the fields about proxies.
func (l *ListenerConfig) checkProxies() *ConfigError {
	if _, err := newProxies(l.TrustProxies); err != nil {
		return err
	}
	if l.RequireProxy && len(l.TrustProxies) == 0 {
		return invalid("RequireProxy", "%q: TrustProxies must name the proxies that are required", l.URL)
	}
	for _, name := range l.ProxyHeaders {
		if !codec.IsToken(name) {
			return invalid("ProxyHeaders", "%q is not the name of a header field", name)
		}
	}
	if l.ProxyHeaders == nil {
		l.ProxyHeaders = []string{forwardedFor, forwarded, realIP}
	}
	return nil
}
