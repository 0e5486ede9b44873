package admin

import (
	"encoding/base64"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
)

// Client is a client in an answer. Sizes are in bytes.
type Client struct {
	ID             string    `json:"id"`
	Addr           string    `json:"addr"` // host:port
	Listener       string    `json:"listener"`
	UID            string    `json:"uid,omitempty"`
	Worker         string    `json:"worker,omitempty"` // name
	WorkerID       string    `json:"worker_id,omitempty"`
	Pending        bool      `json:"pending"` // no worker has admitted it yet
	Slow           bool      `json:"slow"`    // output waits because it does not read fast enough
	GroupCount     int       `json:"group_count"`
	QueuedMessages int       `json:"queued_messages"`
	QueuedBytes    int       `json:"queued_bytes"`
	UnackedBytes   int       `json:"unacked_bytes"`
	OutputBytes    int       `json:"output_bytes"`
	Since          time.Time `json:"since"`
	LastHeard      time.Time `json:"last_heard"`
}

// Clients is the answer to GET /api/v1/clients.
type Clients struct {
	Clients []Client `json:"clients"`
	Next    string   `json:"next,omitempty"` // cursor of the next page
}

// ClientDetail is the answer to GET /api/v1/clients/ID.
type ClientDetail struct {
	Client
	Groups     []string `json:"groups"`
	Attributes int      `json:"attributes"`
	AttrBytes  int      `json:"attribute_bytes"`
}

// Group is a group in an answer.
type Group struct {
	Name    string `json:"name"`
	Clients int    `json:"clients"`
}

// Groups is the answer to GET /api/v1/groups.
type Groups struct {
	Groups []Group `json:"groups"`
	Next   string  `json:"next,omitempty"` // cursor of the next page
}

// Worker is a worker in an answer. Sizes are in bytes.
type Worker struct {
	ID            string `json:"id"`
	Name          string `json:"name"`
	Build         string `json:"build,omitempty"`
	Addr          string `json:"addr"`
	Weight        int    `json:"weight"`
	Links         int    `json:"links"`
	Clients       int    `json:"clients"`
	Draining      bool   `json:"draining"`
	Behind        bool   `json:"behind"`
	UnackedFrames int    `json:"unacked_frames"`
	UnackedBytes  int    `json:"unacked_bytes"`
	OutputBytes   int    `json:"output_bytes"`
}

// Workers is the answer to GET /api/v1/workers.
type Workers struct {
	Workers []Worker `json:"workers"`
}

// maxLimit is the most rows of a page.
const maxLimit = 1000

// clients answers GET /api/v1/clients.
func (s *Server) clients(_ http.ResponseWriter, r *http.Request) (any, error) {
	q, err := query(r, "uid", "group", "addr", "listener", "slow", "limit", "cursor")
	if err != nil {
		return nil, err
	}
	f := gateway.ClientFilter{UID: q.Get("uid"), Group: q.Get("group"), Listener: q.Get("listener")}
	if addr := q.Get("addr"); addr != "" {
		if f.Addr, f.Port, err = addrFilter(addr); err != nil {
			return nil, err
		}
	}
	if slow := q.Get("slow"); slow != "" {
		if f.Slow, err = strconv.ParseBool(slow); err != nil {
			return nil, refuse(http.StatusBadRequest, "slow %q: must be true or false", slow)
		}
	}
	limit, err := limitOf(q)
	if err != nil {
		return nil, err
	}
	page, err := s.control.Clients(r.Context(), f, limit, q.Get("cursor"))
	if err != nil {
		return nil, err
	}
	a := Clients{Clients: []Client{}, Next: page.Next}
	for i := range page.Clients {
		a.Clients = append(a.Clients, clientOf(&page.Clients[i]))
	}
	return a, nil
}

// client answers GET /api/v1/clients/ID.
func (s *Server) client(_ http.ResponseWriter, r *http.Request) (any, error) {
	if _, err := query(r); err != nil {
		return nil, err
	}
	c, err := s.control.Client(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	if c.GroupNames == nil {
		c.GroupNames = []string{}
	}
	return ClientDetail{
		Client: clientOf(&c.ClientInfo), Groups: c.GroupNames, Attributes: c.Attrs, AttrBytes: c.AttrBytes,
	}, nil
}

func clientOf(c *gateway.ClientInfo) Client {
	return Client{
		ID: c.ID, Addr: c.Addr, Listener: c.Listener, UID: c.UID, Worker: c.Worker, WorkerID: c.WorkerID,
		Pending: c.Pending, Slow: c.Slow, GroupCount: c.Groups, QueuedMessages: c.QueuedMessages,
		QueuedBytes: c.QueuedBytes, UnackedBytes: c.UnackedBytes, OutputBytes: c.OutputBytes,
		Since: c.Since.Round(time.Second), LastHeard: c.LastHeard.Round(time.Second),
	}
}

// groups answers GET /api/v1/groups. Its cursor is the last name of the page before.
func (s *Server) groups(_ http.ResponseWriter, r *http.Request) (any, error) {
	q, err := query(r, "prefix", "limit", "cursor")
	if err != nil {
		return nil, err
	}
	limit, err := limitOf(q)
	if err != nil {
		return nil, err
	}
	after, err := base64.RawURLEncoding.DecodeString(q.Get("cursor"))
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "cursor %q is not one of this server", q.Get("cursor"))
	}
	page, more, err := s.control.Groups(r.Context(), q.Get("prefix"), string(after), limit)
	if err != nil {
		return nil, err
	}
	a := Groups{Groups: []Group{}}
	for _, g := range page {
		a.Groups = append(a.Groups, Group{Name: g.Name, Clients: g.Clients})
	}
	if more && len(page) > 0 {
		a.Next = base64.RawURLEncoding.EncodeToString([]byte(page[len(page)-1].Name))
	}
	return a, nil
}

// workers answers GET /api/v1/workers.
func (s *Server) workers(_ http.ResponseWriter, r *http.Request) (any, error) {
	if _, err := query(r); err != nil {
		return nil, err
	}
	workers, err := s.control.Workers(r.Context())
	if err != nil {
		return nil, err
	}
	a := Workers{Workers: []Worker{}}
	for _, w := range workers {
		a.Workers = append(a.Workers, Worker{
			ID: w.ID, Name: w.Name, Build: w.Build, Addr: w.Addr, Weight: w.Weight, Links: w.Links, Clients: w.Clients,
			Draining: w.Draining, Behind: w.Behind, UnackedFrames: w.UnackedFrames, UnackedBytes: w.UnackedBytes,
			OutputBytes: w.OutputBytes,
		})
	}
	return a, nil
}

// query returns the query of a request, which may have the given parameters, each once.
func query(r *http.Request, known ...string) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "the query is not valid: %v", err)
	}
	for name, values := range q {
		switch {
		case !slices.Contains(known, name):
			return nil, refuse(http.StatusBadRequest, "there is no parameter %q", name)
		case len(values) > 1:
			return nil, refuse(http.StatusBadRequest, "%s is there %d times", name, len(values))
		}
	}
	return q, nil
}

// limitOf returns the parameter limit, 0 if there is none.
func limitOf(q url.Values) (int, error) {
	text := q.Get("limit")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxLimit {
		return 0, refuse(http.StatusBadRequest, "limit %q: must be between 1 and %d", text, maxLimit)
	}
	return n, nil
}

// addrFilter parses an address, an address and a port, or a prefix.
func addrFilter(s string) (p netip.Prefix, port uint16, err error) {
	if p, err = netip.ParsePrefix(s); err == nil {
		return p, 0, nil
	}
	addr, err := netip.ParseAddr(s)
	if err != nil {
		var both netip.AddrPort
		if both, err = netip.ParseAddrPort(s); err != nil {
			return p, 0, refuse(http.StatusBadRequest, "addr %q: must be an address, ADDRESS:PORT or a prefix", s)
		}
		addr, port = both.Addr(), both.Port()
	}
	addr = addr.Unmap()
	return netip.PrefixFrom(addr, addr.BitLen()), port, nil
}
