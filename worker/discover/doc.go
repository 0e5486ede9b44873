// Package discover finds gateways by DNS, for worker.Config.Discover.
//
//	d, err := discover.NewDNS(discover.DNSConfig{URLs: []string{"dns://sluice-gateways:2300"}})
//	if err != nil { ... }
//	w, err := worker.New(worker.Config{Discover: d}, handler)
//
// A URL dns://NAME:PORT is a host name with an address for each gateway (A and AAAA records), as a
// headless service of Kubernetes is. A URL dns+srv://_SERVICE._PROTO.NAME has hosts and ports of
// its own (SRV records, RFC 2782); their priorities and weights have no meaning, because a worker
// uses all gateways.
package discover
