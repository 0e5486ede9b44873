// Package redisurl reads the URLs of servers of Redis and Valkey:
//
//	redis://USER:PASSWORD@HOST:PORT/DATABASE
//	redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/NAME/DATABASE
//	redis+cluster://USER:PASSWORD@HOST:PORT,HOST:PORT
//
// With rediss instead of redis connections have TLS. Hosts are needed, and the NAME of the primary
// that Sentinels watch. The Sentinels themselves get
// ?sentinel_user=USER&sentinel_password=PASSWORD.
package redisurl

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-7410fe32/sluice/internal/valid"
)

// Target is what a URL says.
type Target struct {
	Hosts          []string // host:port; bound: none, those of the URL
	User, Password string
	Master         string // name of the primary, for Sentinel
	DB             int
	TLS, Cluster   bool
	// For the Sentinels themselves.
	SentinelUser, SentinelPassword string
}

// Parse reads a URL. Its errors do not show the password.
func Parse(text string) (t Target, err error) {
	scheme, rest, _ := strings.Cut(text, "://")
	protocol, form, _ := strings.Cut(scheme, "+")
	sentinel := form == "sentinel"
	t.TLS, t.Cluster = protocol == "rediss", form == "cluster"
	if protocol != "redis" && protocol != "rediss" || form == "" == strings.Contains(scheme, "+") ||
		form != "" && !sentinel && !t.Cluster {
		return t, fmt.Errorf("scheme %q: must be redis, redis+sentinel or redis+cluster, or rediss, ... for TLS", scheme)
	}
	rest, query, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		if t.User, t.Password, err = userinfo(authority[:at]); err != nil {
			return t, err
		}
		authority = authority[at+1:]
	}
	port := "6379"
	if sentinel {
		port = "26379"
	}
	for host := range strings.SplitSeq(authority, ",") {
		addr, err := address(host, port)
		if err != nil {
			return t, err
		}
		t.Hosts = append(t.Hosts, addr)
	}
	if len(t.Hosts) > 1 && !sentinel && !t.Cluster {
		return t, fmt.Errorf("%d hosts: only %s+sentinel and %[2]s+cluster have several", len(t.Hosts), scheme)
	}
	if sentinel {
		t.Master, path, _ = strings.Cut(path, "/")
		if t.Master == "" {
			return t, errors.New("the path must begin with the name of the primary: redis+sentinel://HOST,HOST/NAME")
		}
	}
	if path != "" {
		if t.DB, err = strconv.Atoi(path); err != nil || t.DB < 0 {
			return t, fmt.Errorf("database %q: must be a number", path)
		}
	}
	if t.Cluster && t.DB != 0 {
		return t, errors.New("a Cluster has only database 0")
	}
	return t, t.options(query, sentinel)
}

// options reads the part after the question mark.
func (t *Target) options(query string, sentinel bool) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("the part after the ? is no query")
	}
	for name := range values {
		switch {
		case sentinel && name == "sentinel_user":
			t.SentinelUser = values.Get(name)
		case sentinel && name == "sentinel_password":
			t.SentinelPassword = values.Get(name)
		default:
			return fmt.Errorf("option %q is unknown", name)
		}
	}
	return nil
}

func userinfo(text string) (user, password string, err error) {
	user, password, _ = strings.Cut(text, ":")
	if user, err = url.PathUnescape(user); err == nil {
		password, err = url.PathUnescape(password)
	}
	if err != nil {
		return "", "", errors.New("user or password has a % without two hexadecimal digits")
	}
	return user, password, nil
}

// address adds a port to a host without one.
func address(host, port string) (string, error) {
	switch {
	case host == "":
		return "", errors.New("a host is missing")
	case strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]"):
		host = net.JoinHostPort(host[1:len(host)-1], port)
	case !strings.Contains(host, ":"):
		host = net.JoinHostPort(host, port)
	}
	return host, valid.HostPort(host)
}

// sentinelInterval is how often Sentinels are asked which server is the primary, besides their own
// notices.
const sentinelInterval = 5 * time.Second

// Option returns the options of a client. timeout is how long a connection may take, and how long
// an answer. certificates is for a target with TLS, and nil for those of the system.
func (t Target) Option(timeout time.Duration, certificates *tls.Config) rueidis.ClientOption {
	o := rueidis.ClientOption{
		InitAddress: t.Hosts, Username: t.User, Password: t.Password, SelectDB: t.DB, ClientName: "sluice",
		ShuffleInit: true, ForceSingleClient: !t.Cluster && t.Master == "",
		DisableRetry: true, DisableCache: true, // callers retry as they need, and nothing is cached here
		ConnWriteTimeout: timeout,
		// A connection takes thousands of calls at once. Its buffers are per process.
		PipelineMultiplex: -1, ReadBufferEachConn: 64 << 10, WriteBufferEachConn: 64 << 10,
	}
	o.Dialer.Timeout = timeout
	if t.TLS {
		o.TLSConfig = cmp.Or(certificates, &tls.Config{MinVersion: tls.VersionTLS12}).Clone()
	}
	if t.Master != "" {
		o.Sentinel = rueidis.SentinelOption{
			MasterSet: t.Master, Username: t.SentinelUser, Password: t.SentinelPassword, ClientName: "sluice",
			TLSConfig: o.TLSConfig, Dialer: o.Dialer, TopologyRefreshInterval: sentinelInterval,
		}
	}
	return o
}
