package gateway

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/seed-7410fe32/sluice/codec"
)

// refuseOrigin refuses a WebSocket that was requested by a page of a foreign origin.
func (s *session) refuseOrigin(req *codec.Request, response []byte) {
	fix, origins := allowOrigin(req.Header("Origin")), 0
	for name := range req.Headers() {
		if strings.EqualFold(name, "Origin") {
			origins++
		}
	}
	if origins > 1 {
		fix = "no option accepts it: a browser sends one Origin"
	}
	s.originRejected("WebSocket rejected: origin not allowed", req, fix)
	s.refuseHTTP(req, response)
}

// refuseHost refuses a page that was requested by a name that is not the gateway's.
func (s *session) refuseHost(req *codec.Request) {
	fix := "request it by a name of the gateway"
	if u, err := url.Parse("//" + req.Header("Host")); err == nil && isPlainHost(u.Host) {
		fix = "allow it with --host " + u.Hostname() + " (ListenerConfig.Hosts)"
	}
	s.originRejected("page rejected: host name not allowed", req, fix)
	text := fmt.Sprintf("%q is not a name of this server", req.Header("Host"))
	s.refuseHTTP(req, codec.Status(http.StatusMisdirectedRequest, text))
}

// originRejected counts a request by a wrong name, and logs it at a limited rate. The limit is not
// shared with log lines about workers.
func (s *session) originRejected(what string, req *codec.Request, fix string) {
	g := s.loop.g
	s.loop.stats.OriginsRejected++
	if g.clientLogs.Allow() {
		g.log.Warn(what, "origin", brief(withoutUser(req.Header("Origin"))), "host", brief(withoutUser(req.Header("Host"))),
			"remote", s.remote(), "fix", fix)
	}
}

// allowOrigin describes how to accept an origin.
func allowOrigin(origin string) string {
	u, err := url.Parse(origin)
	if err != nil || !isPlainHost(u.Host) {
		return `it has no valid host: only --origin "*" accepts it, and with it every page`
	}
	return "allow it with --origin " + u.Host + " (ListenerConfig.Origins)"
}

// withoutUser replaces the user and password in an origin or host, which browsers do not send.
func withoutUser(name string) string {
	at := strings.LastIndexByte(name, '@')
	if at < 0 {
		return name
	}
	scheme, _, ok := strings.Cut(name[:at], "://")
	if !ok {
		return "***" + name[at:]
	}
	return scheme + "://***" + name[at:]
}

// isPlainHost reports whether a host name from a request can be put into a command line that is
// safe to copy.
func isPlainHost(host string) bool {
	for i := range len(host) {
		c := host[i] | 0x20
		if !(c >= 'a' && c <= 'z' || host[i] >= '0' && host[i] <= '9' || strings.IndexByte("-._:[]", host[i]) >= 0) {
			return false
		}
	}
	return host != "" && len(host) <= maxLogged && host[0] != '-'
}

// maxLogged bounds a header's value in the log, in bytes.
const maxLogged = 200

func brief(value string) string {
	if len(value) > maxLogged {
		return value[:maxLogged] + "..."
	}
	return value
}
