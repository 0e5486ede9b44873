package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is wrong with the settings of the directory, or with where gateways are, is found before
// anything starts, under the name of its setting.
func TestEngineSettings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"engine: redis://127.0.0.1:6379", ""},
		{"engine: rediss+sentinel://a,b:1/main", ""},
		{"engine: redis+cluster://a,b\nengine_prefix: other", ""},
		{"engine: redis://u:p@a:1/2\ninner: 0.0.0.0:2300\nadvertise: 10.0.0.1:1", ""},
		{"engine_prefix: sluice", ""},
		{"engine: http://127.0.0.1", "1: engine: scheme"},
		{"engine: redis://", "1: engine: a host is missing"},
		{"engine: redis://a\ninner: :2300", "advertise: must be set with"},
		{"engine: redis://a\ninner: 0.0.0.0:2300", "advertise: must be set with"},
		{"engine: redis://a\nadvertise: 0.0.0.0:2300", `2: advertise: "0.0.0.0:2300": must have a host`},
		{"engine_prefix: other", "1: engine_prefix: needs --engine"},
		{"engine_password_file: /nonexistent", "1: engine_password_file: needs --engine"},
		{"engine: redis://a\nengine_password_file: /nonexistent", "2: engine_password_file: open /nonexistent"},
		{"engine: rediss://a\nengine_ca: /nonexistent", "2: engine_ca: open /nonexistent"},
		{"worker: true\nengine: redis://a", ""},
		{"engine: redis://a\nengine_ca: engine_test.go", "engine: a file with certificates needs TLS"},
		{"engine: redis://:p@a\nengine_password_file: engine_test.go", "engine: the password must be in the URL or"},
		{"engine: redis+cluster://a\nengine_prefix: 'a{b}'", "engine: the prefix must not have braces"},
		{"worker: true\nengine: redis://a\ngateway: [10.0.0.1:1]", ""},
		{"worker: true\ngateway: ['dns://gateways:2300', 10.0.0.1:1]", ""},
		{"worker: true\ngateway: 'dns+srv://_sluice._tcp.example'", ""},
		{"worker: true\ngateway: 'dns://gateways'", `2: gateway: "dns://gateways": must be dns://NAME:PORT`},
		{"worker: true\ngateway: 'ws://gateways:1'", "2: gateway: "},
		{"worker: true\nengine: redis://a\ngateway: 'dns://gateways:1'", `3: gateway: "dns://gateways:1": gateways are`},
	} {
		_, err := run(t, "config", "check", settingsFile(t, c.text+"\n"), "chat")
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s\n%v", c.text, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s\n%v, want %s", c.text, err, c.want)
		case c.want != "" && strings.Count(err.Error(), "\n") > 0:
			t.Errorf("%s\nseveral errors:\n%v", c.text, err)
		}
	}
}

// The password in a URL is not shown.
func TestEnginePasswordIsHidden(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("hush"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := run(t, "config", "print", "gateway", "--engine", "redis://ada:lovelace@127.0.0.1:6379/1")
	if err != nil || strings.Contains(out, "lovelace") || !strings.Contains(out, "redis://ada:***@127.0.0.1:6379/1") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = run(t, "config", "print", "gateway", "--engine", "redis://ada@127.0.0.1", "--engine-password-file", file)
	if err != nil || strings.Contains(out, "hush") || !strings.Contains(out, file) {
		t.Errorf("%v\n%s", err, out)
	}
}
