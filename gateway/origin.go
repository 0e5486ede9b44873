package gateway

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/seed-7410fe32/sluice/codec"
)

// refuseOrigin refuses a WebSocket that a page of a foreign origin asks for.
func (s *session) refuseOrigin(req *codec.Request, response []byte) {
	fix, origins := allowOrigin(req.Header("Origin")), 0
	for name := range req.Headers() {
		if strings.EqualFold(name, "Origin") {
			origins++
		}
	}
	if origins > 1 {
		fix = "nothing allows it: a browser sends one Origin"
	}
	s.originRejected("a WebSocket was refused: the page that asks for it is of a foreign origin", req, fix)
	s.refuseHTTP(req, response)
}

// refuseHost refuses a page that is asked for by a name that the gateway does not go by.
func (s *session) refuseHost(req *codec.Request) {
	fix := "only a request by the gateway's own name is allowed"
	if u, err := url.Parse("//" + req.Header("Host")); err == nil && isPlainHost(u.Host) {
		fix = "allow it with --host " + u.Hostname() + " (ListenerConfig.Hosts)"
	}
	s.originRejected("a page was refused: it was asked for by a name that is not the gateway's", req, fix)
	s.refuseHTTP(req, codec.Status(http.StatusMisdirectedRequest, fmt.Sprintf("%q is not a name of this server", req.Header("Host"))))
}

// originRejected counts who came by a wrong name, and tells it in the log now and then. What these clients make us log has a limit of its own, so that it hides nothing about workers.
func (s *session) originRejected(what string, req *codec.Request, fix string) {
	g := s.loop.g
	s.loop.stats.OriginsRejected++
	if g.clientLogs.Allow() {
		g.log.Warn(what, "origin", brief(req.Header("Origin")), "host", brief(req.Header("Host")), "remote", s.remote(), "fix", fix)
	}
}

// allowOrigin says what would let an origin in.
func allowOrigin(origin string) string {
	u, err := url.Parse(origin)
	if err != nil || !isPlainHost(u.Host) {
		return `it names no host: nothing allows it but --origin "*", which lets every page in`
	}
	return "allow it with --origin " + u.Host + " (ListenerConfig.Origins)"
}

// isPlainHost reports whether a host that a stranger has sent can stand in a command for somebody to copy.
func isPlainHost(host string) bool {
	for i := range len(host) {
		c := host[i] | 0x20
		if !(c >= 'a' && c <= 'z' || host[i] >= '0' && host[i] <= '9' || strings.IndexByte("-._:[]", host[i]) >= 0) {
			return false
		}
	}
	return host != "" && len(host) <= maxLogged && host[0] != '-'
}

// maxLogged is how much of a header's value stands in the log, in bytes.
const maxLogged = 200

func brief(value string) string {
	if len(value) > maxLogged {
		return value[:maxLogged] + "…"
	}
	return value
}
