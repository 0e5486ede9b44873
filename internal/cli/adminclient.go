package cli

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-7410fe32/sluice/gateway/admin"
)

const (
	defaultAdmin   = "http://127.0.0.1:9090"
	adminEnv       = "SLUICE_ADMIN"
	adminTokenEnv  = "SLUICE_ADMIN_TOKEN_FILE"
	maxAdminAnswer = 64 << 20 // bytes
)

// adminClient asks the admin listener of a gateway. Its fields are the flags of a command.
type adminClient struct {
	url, tokenFile, caFile, proxy string
	json                          bool
	timeout                       time.Duration

	http  *http.Client
	token string
}

// operatorCommand makes a command over an admin listener. run gets a client that is ready.
func operatorCommand(c *cobra.Command, run func(c *cobra.Command, a *adminClient, args []string) error) *cobra.Command {
	a := new(adminClient)
	f := c.Flags()
	f.StringVar(&a.url, "admin", "", "`URL` of the gateway's --admin, http://HOST:PORT or HOST:PORT (default: "+adminEnv+
		", or "+defaultAdmin+")")
	f.StringVar(&a.tokenFile, "admin-token-file", "", "`file` with the token (default: "+adminTokenEnv+")")
	f.StringVar(&a.caFile, "admin-ca", "", "`file` with the certificates that sign that of an https:// URL (default: "+
		"those of the system)")
	f.StringVar(&a.proxy, "admin-proxy", "", "`URL` of a proxy to an https:// URL: http://HOST:PORT or "+
		"socks5://HOST:PORT (default: none, whatever HTTPS_PROXY says)")
	f.DurationVar(&a.timeout, "timeout", 15*time.Second, "`time` for an answer")
	f.BoolVar(&a.json, "json", false, "print JSON")
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := noZeros(c.Flags()); err != nil {
			return err
		}
		if err := a.prepare(); err != nil {
			return err
		}
		defer a.http.CloseIdleConnections()
		return run(c, a, args)
	}
	return c
}

// prepare checks the flags and reads the files, but for that of the token, which probes do not
// need.
func (a *adminClient) prepare() error {
	a.url = cmp.Or(a.url, os.Getenv(adminEnv), defaultAdmin)
	a.tokenFile = cmp.Or(a.tokenFile, os.Getenv(adminTokenEnv))
	if !strings.Contains(a.url, "://") {
		a.url = "http://" + a.url
	}
	u, err := url.Parse(a.url)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" {
		return usageError{fmt.Errorf("--admin: %q: must be http://HOST:PORT or https://HOST:PORT", a.url)}
	}
	a.url = u.Scheme + "://" + u.Host
	if a.timeout < 0 {
		return usageError{fmt.Errorf("--timeout: %v: must be more than 0", a.timeout)}
	}
	transport := new(http.Transport)
	if a.proxy != "" {
		p, err := url.Parse(a.proxy)
		if err != nil || p.Host == "" || !slices.Contains([]string{"http", "https", "socks5"}, p.Scheme) {
			return usageError{fmt.Errorf("--admin-proxy: %q: must be http://HOST:PORT or socks5://HOST:PORT", a.proxy)}
		}
		if u.Scheme != "https" {
			return usageError{fmt.Errorf("--admin-proxy: needs an https:// URL in --admin: the proxy could read the token")}
		}
		transport.Proxy = http.ProxyURL(p)
	}
	if a.caFile != "" {
		pem, err := os.ReadFile(a.caFile)
		if err != nil {
			return fmt.Errorf("--admin-ca: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return fmt.Errorf("--admin-ca %s: has no certificate", a.caFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // the token is for this address
	a.http = &http.Client{Transport: transport, Timeout: a.timeout, CheckRedirect: stay}
	return nil
}

// call sends a request to the API and decodes the answer. A nil body sends none.
func (a *adminClient) call(ctx context.Context, method, path string, body, into any) (err error) {
	if a.tokenFile != "" && a.token == "" {
		if a.token, err = admin.FirstToken(a.tokenFile); err != nil {
			return fmt.Errorf("--admin-token-file %s: %w", a.tokenFile, err)
		}
	}
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, a.url+"/api/v1/"+path, content)
	if err != nil {
		return err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := a.do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(answer.Body, maxAdminAnswer))
	if err != nil {
		return fmt.Errorf("%s: %w", a.url, err)
	}
	if answer.StatusCode >= http.StatusMultipleChoices {
		return a.problem(answer, b)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%s: the answer is not that of a sluice gateway: %w", a.url, err)
	}
	return nil
}

// do sends a request with the token.
func (a *adminClient) do(r *http.Request) (*http.Response, error) {
	if a.token != "" {
		r.Header.Set("Authorization", "Bearer "+a.token)
	}
	answer, err := a.http.Do(r)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		return nil, fmt.Errorf("%s: %w (does the gateway have --admin?)", a.url, err)
	}
	return answer, nil
}

// problem returns the error of an answer.
func (a *adminClient) problem(answer *http.Response, body []byte) error {
	hint := ""
	if answer.StatusCode == http.StatusUnauthorized {
		hint = " (give --admin-token-file)"
	}
	var p struct {
		Detail string `json:"detail"`
	}
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if kind == "application/problem+json" && json.Unmarshal(body, &p) == nil && p.Detail != "" {
		return fmt.Errorf("%s: %s: %s%s", a.url, answer.Status, p.Detail, hint)
	}
	if bytes.Contains(body, []byte("HTTP request to an HTTPS server")) { // words of net/http
		hint = " (the listener speaks TLS: give --admin https://HOST:PORT)"
	}
	return fmt.Errorf("%s: %s%s", a.url, answer.Status, hint)
}
