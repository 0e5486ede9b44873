package redisdir

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"github.com/seed-7410fe32/sluice/internal/valid"
)

// target is what a URL says.
type target struct {
	hosts          []string // host:port; bound: none, those of the URL
	user, password string
	master         string // name of the primary, for Sentinel
	db             int
	tls, cluster   bool
	// For the Sentinels themselves.
	sentinelUser, sentinelPassword string
}

// parse reads a URL. Its errors do not show the password.
func parse(text string) (t target, err error) {
	scheme, rest, _ := strings.Cut(text, "://")
	protocol, form, _ := strings.Cut(scheme, "+")
	sentinel := form == "sentinel"
	t.tls, t.cluster = protocol == "rediss", form == "cluster"
	if protocol != "redis" && protocol != "rediss" || form == "" == strings.Contains(scheme, "+") ||
		form != "" && !sentinel && !t.cluster {
		return t, fmt.Errorf("scheme %q: must be redis, redis+sentinel or redis+cluster, or rediss, ... for TLS", scheme)
	}
	rest, query, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		if t.user, t.password, err = userinfo(authority[:at]); err != nil {
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
		t.hosts = append(t.hosts, addr)
	}
	if len(t.hosts) > 1 && !sentinel && !t.cluster {
		return t, fmt.Errorf("%d hosts: only %s+sentinel and %[2]s+cluster have several", len(t.hosts), scheme)
	}
	if sentinel {
		t.master, path, _ = strings.Cut(path, "/")
		if t.master == "" {
			return t, errors.New("the path must begin with the name of the primary: redis+sentinel://HOST,HOST/NAME")
		}
	}
	if path != "" {
		if t.db, err = strconv.Atoi(path); err != nil || t.db < 0 {
			return t, fmt.Errorf("database %q: must be a number", path)
		}
	}
	if t.cluster && t.db != 0 {
		return t, errors.New("a Cluster has only database 0")
	}
	return t, t.options(query, sentinel)
}

// options reads the part after the question mark.
func (t *target) options(query string, sentinel bool) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("the part after the ? is no query")
	}
	for name := range values {
		switch {
		case sentinel && name == "sentinel_user":
			t.sentinelUser = values.Get(name)
		case sentinel && name == "sentinel_password":
			t.sentinelPassword = values.Get(name)
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

// option returns the options of a client. It reads the files anew.
func (c *Config) option(t target) (rueidis.ClientOption, error) {
	password := t.password
	if c.PasswordFile != "" {
		text, err := os.ReadFile(c.PasswordFile)
		if err != nil {
			return rueidis.ClientOption{}, err
		}
		password = strings.TrimRight(string(text), "\r\n")
	}
	o := rueidis.ClientOption{
		InitAddress: t.hosts, Username: t.user, Password: password, SelectDB: t.db, ClientName: "sluice",
		ShuffleInit: true, DisableRetry: true, DisableCache: true, ForceSingleClient: !t.cluster && t.master == "",
		ConnWriteTimeout: c.Timeout,
		// A connection takes thousands of calls at once. Its buffers are per process.
		PipelineMultiplex: -1, ReadBufferEachConn: 64 << 10, WriteBufferEachConn: 64 << 10,
	}
	o.Dialer.Timeout = c.Timeout
	if t.tls {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		if c.CAFile != "" {
			text, err := os.ReadFile(c.CAFile)
			if err != nil {
				return rueidis.ClientOption{}, err
			}
			o.TLSConfig.RootCAs = x509.NewCertPool()
			if !o.TLSConfig.RootCAs.AppendCertsFromPEM(text) {
				return rueidis.ClientOption{}, fmt.Errorf("%s: no certificate in it", c.CAFile)
			}
		}
	}
	if t.master != "" {
		o.Sentinel = rueidis.SentinelOption{
			MasterSet: t.master, Username: t.sentinelUser, Password: t.sentinelPassword, ClientName: "sluice",
			TLSConfig: o.TLSConfig, Dialer: o.Dialer, TopologyRefreshInterval: sentinelInterval,
		}
	}
	return o, nil
}
