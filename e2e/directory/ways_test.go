package directory_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-7410fe32/sluice/internal/certs/certstest"
	"github.com/seed-7410fe32/sluice/internal/proctest"
	"github.com/seed-7410fe32/sluice/internal/redistest"
)

// What says where gateways are reaches the program: users and passwords, TLS, Sentinels, Clusters,
// prefixes, and names.
func TestWaysToRedis(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	secret := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(secret, []byte("open sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, engine := range map[string]func(t *testing.T) []string{
		"a user and a file with the password": func(t *testing.T) []string {
			r := redistest.WithUser(t, "ali", "open sesame", "~sluice:*", "&sluice:*", "+@all")
			return []string{"--engine", "redis://ali@" + r.Addr, "--engine-password-file", secret}
		},
		"TLS": func(t *testing.T) []string {
			cert, key, ca := certstest.New(t).Files(t, "127.0.0.1")
			r := redistest.WithTLS(t, cert, key, ca)
			return []string{"--engine", "rediss://" + r.Addr, "--engine-ca", ca}
		},
		"Sentinel": func(t *testing.T) []string {
			return []string{"--engine", redistest.Sentinel(t, 1).URL()}
		},
		"Cluster": func(t *testing.T) []string {
			return []string{"--engine", redistest.Cluster(t).URL(), "--engine-prefix", "mine"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := engine(t)
			g := proctest.Start(t, nil, bin, append([]string{
				"gateway", "--inner", "127.0.0.1:0", "--listen", "text://127.0.0.1:0"}, args...)...)
			w := proctest.Start(t, nil, bin, append([]string{"echo", "--worker"}, args...)...)
			proctest.Echoes(t, proctest.Dial(t, g.Addrs["text"]), "hello")
			for _, p := range []*proctest.Process{g, w} {
				if strings.Contains(p.Log(), "sesame") {
					t.Error("the log has the password")
				}
			}
		})
	}
}

// Gateways are found by a name: the one in the hosts file of each system. Addresses of a gateway
// that does not exist do no harm.
func TestByName(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	g := proctest.Start(t, nil, bin, "gateway", "--inner", "127.0.0.1:0", "--listen", "text://127.0.0.1:0")
	_, port, err := net.SplitHostPort(g.Addrs["inner"])
	if err != nil {
		t.Fatal(err)
	}
	proctest.Start(t, nil, bin, "echo", "--worker", "--gateway", "dns://localhost:"+port)
	proctest.Echoes(t, proctest.Dial(t, g.Addrs["text"]), "hello")
}
