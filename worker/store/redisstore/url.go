package redisstore

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-7410fe32/sluice/internal/valid"
)

// parse returns the client's options. Its errors do not show the URL, which may have a password.
func parse(cfg Config) (rueidis.ClientOption, error) {
	wrong := func(why error) (rueidis.ClientOption, error) {
		return rueidis.ClientOption{}, fmt.Errorf("redisstore: Config.URL: %w", why)
	}
	u, err := url.Parse(cfg.URL)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		err = failed.Err
	}
	if err != nil {
		return wrong(err)
	}
	if !slices.Contains([]string{"redis", "rediss", "valkey", "valkeys", "unix"}, u.Scheme) {
		return wrong(errors.New("must begin with redis://, rediss:// or unix://"))
	}
	for name := range u.Query() {
		if !slices.Contains([]string{"addr", "db", "master_set"}, name) {
			return wrong(fmt.Errorf("%q: must be addr, db or master_set", name))
		}
	}
	option, err := rueidis.ParseURL(cfg.URL)
	if err != nil {
		return wrong(err)
	}
	for _, addr := range option.InitAddress {
		if err := valid.HostPort(addr); err != nil && u.Scheme != "unix" {
			return wrong(err)
		}
	}
	if cfg.TLS != nil {
		if option.TLSConfig == nil {
			return rueidis.ClientOption{}, errors.New("redisstore: Config.TLS: needs a URL that begins with rediss://")
		}
		name := option.TLSConfig.ServerName
		option.TLSConfig = cfg.TLS.Clone()
		if option.TLSConfig.ServerName == "" {
			option.TLSConfig.ServerName = name
		}
	}
	option.Dialer.Timeout = cfg.Timeout
	option.Dialer.KeepAlive = 10 * time.Second // of TCP, and between two PINGs on an idle connection
	option.ConnWriteTimeout = max(2*cfg.Timeout, time.Second)
	option.DisableCache = true // no client-side caching
	option.DisableRetry = true // the circuit decides
	option.PipelineMultiplex = 1
	option.ReadBufferEachConn, option.WriteBufferEachConn = 64<<10, 64<<10
	option.ClientName = "sluice"
	return option, nil
}
