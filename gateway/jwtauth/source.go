package jwtauth

import (
	"errors"
	"net/http"
	"strings"

	"github.com/seed-7410fe32/sluice/codec"
)

// source is where a token is looked for.
type source struct {
	kind string // header, query, cookie or subprotocol
	name string // empty for header
}

func newSources(list []string) (all []source, err error) {
	subprotocol := false
	for _, s := range list {
		kind, name, named := strings.Cut(s, ":")
		switch kind {
		case "header":
			if named {
				return nil, invalid("Sources", "%q: a header has no name: it is Authorization", s)
			}
		case "query", "cookie", "subprotocol":
			if !codec.IsToken(name) {
				return nil, invalid("Sources", "%q: needs a name, for example %s:token", s, kind)
			}
			if kind == "subprotocol" && subprotocol {
				return nil, invalid("Sources", "%q: there is another subprotocol", s)
			}
			subprotocol = subprotocol || kind == "subprotocol"
		default:
			return nil, invalid("Sources", "%q: must be header, query:NAME, cookie:NAME or subprotocol:NAME", s)
		}
		all = append(all, source{kind, name})
	}
	return all, nil
}

var (
	errTwice = errors.New("there is more than one token")
	errAfter = errors.New("the token must be the subprotocol after the name")
)

// token looks for a token in a request.
func (s source) token(r *http.Request) (token string, found bool, err error) {
	var all []string
	switch s.kind {
	case "header":
		for _, value := range r.Header.Values("Authorization") {
			if scheme, rest, _ := strings.Cut(value, " "); strings.EqualFold(scheme, "Bearer") {
				all = append(all, strings.TrimSpace(rest))
			}
		}
	case "query":
		all = r.URL.Query()[s.name]
	case "cookie":
		for _, c := range r.CookiesNamed(s.name) {
			all = append(all, c.Value)
		}
	case "subprotocol":
		return s.offered(r)
	}
	switch len(all) {
	case 0:
		return "", false, nil
	case 1:
		return all[0], true, nil
	}
	return "", false, errTwice
}

// offered looks for a token among the subprotocols that a client offers. It follows the name.
func (s source) offered(r *http.Request) (token string, found bool, err error) {
	var list []string
	for _, value := range r.Header.Values("Sec-WebSocket-Protocol") {
		for offer := range strings.SplitSeq(value, ",") {
			list = append(list, strings.TrimSpace(offer))
		}
	}
	for i, offer := range list {
		switch {
		case offer != s.name:
		case i+1 == len(list):
			return "", false, errAfter
		default:
			return list[i+1], true, nil
		}
	}
	return "", false, nil
}
