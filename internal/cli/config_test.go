package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/seed-7410fe32/sluice/internal/config"
)

// run runs a command line of the program that starts no server, and returns what it prints.
func run(t *testing.T, args ...string) (out string, err error) {
	t.Helper()
	root := addConfig(command(quiet(), nil))
	var b strings.Builder
	root.SetArgs(args)
	root.SetOut(&b)
	root.SetErr(io.Discard)
	_, err = root.ExecuteC()
	return b.String(), err
}

// settingsFile writes a file with settings.
func settingsFile(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "sluice.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// The example is a file with settings that changes nothing: it has every flag with its default. A
// flag whose default differs between the commands is in a comment.
func TestExampleIsTheDefaults(t *testing.T) {
	t.Parallel()
	for _, names := range [][]string{nil, {"chat"}, {"echo"}, {"gateway"}} {
		text, err := run(t, append([]string{"config", "example"}, names...)...)
		if err != nil {
			t.Fatal(err)
		}
		if out, err := run(t, append([]string{"config", "check", settingsFile(t, text)}, names...)...); err != nil {
			t.Errorf("%v: %s%v", names, out, err)
		}
		for _, c := range servers(command(quiet(), nil)) {
			if len(names) > 0 && c.Name() != names[0] {
				continue
			}
			made, problems := config.Parse("f", []byte(text), schema(allSettings(command(quiet(), nil))))
			sources, more := config.Apply(c.Flags(), "f", made, nil)
			if len(problems)+len(more) > 0 {
				t.Fatal(problems, more)
			}
			c.Flags().VisitAll(func(f *pflag.Flag) {
				switch {
				case !config.IsSetting(f):
				case f.Value.String() != f.DefValue:
					t.Errorf("example %v: --%s is %s, %s by default", names, f.Name, f.Value, f.DefValue)
				case sources[f.Name].Kind != config.FromFile && !strings.Contains(text, "\n#"+config.Key(f.Name)+": "):
					t.Errorf("example %v: %s is missing", names, config.Key(f.Name))
				}
			})
		}
	}
}

// Every flag of the servers can be in a file: those that are added later, too.
func TestAFlagIsASetting(t *testing.T) {
	t.Parallel()
	for _, c := range servers(command(quiet(), nil)) {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			switch f.Value.Type() {
			case "bool", "int", "duration", "string", "stringArray", "stringSlice":
			default:
				t.Errorf("%s --%s: a file has no values of type %s", c.Name(), f.Name, f.Value.Type())
			}
			if strings.Contains(f.Name, "_") || strings.ToLower(f.Name) != f.Name {
				t.Errorf("%s --%s: the name of a flag has small letters and hyphens", c.Name(), f.Name)
			}
		})
	}
}

// Each mistake is found in one run, with its line: unknown keys, wrong types, and values that a
// gateway or a worker refuses, also those of one listener.
func TestConfigCheck(t *testing.T) {
	t.Parallel()
	text := `max_mesage: 10
max_conns: lots
max_message: 99999999999
heartbeat: 25
origin: example.org/path
listen:
  - url: ws://127.0.0.1:7272
    max_conns: 5
    max_message: 0
    origin: [a b]
    overflow: all
    pin: true
  - text://:99999
  - max_conns: 3
router: best
key_file: /nonexistent
weight: 0
drain_timeout: -3s
write_timeout: soon
address_rate: many
`
	path := settingsFile(t, text)
	_, err := run(t, "config", "check", path)
	if err == nil {
		t.Fatal("no error")
	}
	if _, code := outcome(nil, err); code != 1 {
		t.Errorf("exit code %d", code)
	}
	lines := strings.Split(err.Error(), "\n")
	for i, want := range []string{
		"1: max_mesage: unknown key: did you mean max_message?",
		`2: max_conns: "lots": must be a whole number`,
		"3: max_message: 99999999999: must be between 1 and 16777216",
		`4: heartbeat: "25": must be a time with its unit`,
		`5: origin: "example.org/path" is not an origin`,
		"9: max_message: must not be 0 (default 1048576)",
		`10: origin: "a b" is not an origin`,
		`11: overflow: "all": must be close, oldest or newest`,
		"12: pin: cannot be set for one listener",
		`13: listen: "text://:99999": port 99999`,
		"14: listen: the key url is missing",
		`15: router: "best": must be least`,
		"16: key_file: /nonexistent: no such file",
		"17: weight: must not be 0 (default 100)",
		"18: drain_timeout: -3s: must be at least 0",
		`19: write_timeout: "soon": must be a time`,
		`20: address_rate: "many": must be a whole number`,
	} {
		if i >= len(lines) || !strings.HasPrefix(lines[i], path+":"+want) {
			t.Fatalf("line %d is not %q:\n%v", i, want, err)
		}
	}
	if len(lines) != 17 {
		t.Errorf("%d lines:\n%v", len(lines), err)
	}
}

// A file that cannot be used is one mistake: the settings that belong to it are not further ones.
// What a server would refuse about its admin listener is found too.
func TestConfigCheckOfFiles(t *testing.T) {
	t.Parallel()
	bad := settingsFile(t, "one\nthree words here\n")
	text := strings.ReplaceAll(`listen: ["wss://127.0.0.1:1", "text://127.0.0.1:1"]
tls_cert: BAD
tls_key: BAD
tls_ticket_keys: BAD
link_tls_cert: BAD
link_tls_key: BAD
link_tls_ca: BAD
link_tls_name: gateway
jwt_secret_file: BAD
jwt_attribute: [role]
admin: 0.0.0.0:9090
admin_token_file: BAD
admin_tls_cert: BAD
admin_tls_key: BAD
max_message: -1
`, "BAD", bad)
	for _, c := range []struct {
		text string
		want []string
	}{
		{text, []string{
			"2: tls_cert: certs: " + bad, "5: link_tls_cert: certs: " + bad, "9: jwt_secret_file: " + bad,
			"12: admin_token_file: " + bad + ": line 2: scope \"here\"", "13: admin_tls_cert: certs: " + bad,
			"15: max_message: -1",
		}},
		{"admin: 0.0.0.0:9090\n", []string{"1: admin: 0.0.0.0:9090: without --admin-token-file"}},
		{"admin: :9090\n", []string{"1: admin: :9090: without --admin-token-file"}},
		{"admin: '[2001:db8::1]:9090'\n", []string{"1: admin: [2001:db8::1]:9090: without --admin-token-file"}},
	} {
		path := settingsFile(t, c.text)
		_, err := run(t, "config", "check", path)
		if err == nil {
			t.Errorf("%s: no error", c.text)
			continue
		}
		lines := strings.Split(err.Error(), "\n")
		for i, want := range c.want {
			if i >= len(lines) || !strings.HasPrefix(lines[i], path+":"+want) {
				t.Fatalf("line %d is not %q:\n%v", i, want, err)
			}
		}
		if len(lines) != len(c.want) {
			t.Errorf("%d lines:\n%v", len(lines), err)
		}
	}
	for _, addr := range []string{"127.0.0.2:9090", "'[::1]:9090'", "localhost:9090"} {
		if _, err := run(t, "config", "check", settingsFile(t, "admin: "+addr+"\n")); err != nil {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

func TestConfigCheckOfOneCommand(t *testing.T) {
	t.Parallel()
	path := settingsFile(t, "address_rate: 3\nmax_conns: 5\n")
	if out, err := run(t, "config", "check", path); err != nil || out != path+": OK\n" {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := run(t, "config", "check", path, "gateway"); err == nil ||
		err.Error() != path+": address_rate: has no effect in gateway" {
		t.Errorf("%v", err)
	}
	for _, args := range [][]string{{}, {path, "bench"}, {path, "chat", "echo"}} {
		_, err := run(t, append([]string{"config", "check"}, args...)...)
		if _, code := outcome(command(nil, nil), err); code != 2 {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
}

// What print writes is a file with the same effect, and says where each value comes from.
func TestConfigPrint(t *testing.T) {
	t.Parallel()
	path := settingsFile(t,
		"listen:\n- {url: 'ws://127.0.0.1:1', max_conns: 3}\n- text://127.0.0.1:2\nmax_conns: 4\npin: true\n")
	out, err := run(t, "config", "print", "gateway", "--config", path, "--max-conns", "5", "--chat-page")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"  - url: ws://127.0.0.1:1\n    max_conns: 3  # " + path + ":2\n  - url: text://127.0.0.1:2\n",
		"\nmax_conns: 5  # --max-conns\n", "\npin: true  # " + path + ":5\n", "\nchat_page: true  # --chat-page\n",
		"\nmax_per_ip: 0  # default\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "address_rate") {
		t.Error("a setting of another command is shown")
	}
	again, err := run(t, "config", "print", "gateway", "--config", settingsFile(t, out))
	if err != nil || withoutSources(again) != withoutSources(out) {
		t.Errorf("printed again: %v\n%s", err, again)
	}
	if all, err := run(t, "config", "print"); err != nil || !strings.Contains(all, "\naddress_rate: 20  # default\n") {
		t.Errorf("%v\n%s", err, all)
	}
	for _, args := range [][]string{{"gateway", "--address-rate", "3"}, {"bench"}, {"--config", "/nonexistent"}} {
		_, err := run(t, append([]string{"config", "print"}, args...)...)
		if _, code := outcome(command(nil, nil), err); code != 2 {
			t.Errorf("%v: exit code %d, %v", args, code, err)
		}
	}
}

// withoutSources returns a printed configuration without its comments.
func withoutSources(printed string) string {
	var b strings.Builder
	for line := range strings.Lines(printed) {
		line, _, _ = strings.Cut(line, "  # ")
		fmt.Fprintln(&b, line)
	}
	return b.String()
}

// A listener has the options of its element, and otherwise those of the file, the environment and
// the command line.
func TestOptionsOfAListener(t *testing.T) {
	t.Parallel()
	path := settingsFile(t, `listen:
  - url: ws://127.0.0.1:1
    origin: [own.example]
    max_conns: 3
    compress: false
  - url: text://127.0.0.1:2
    idle_timeout: 3m
    overflow: oldest
  - ws://127.0.0.1:3
origin: [shared.example]
max_conns: 4
`)
	c, err := server(command(quiet(), nil), "gateway")
	if err != nil {
		t.Fatal(err)
	}
	o := optionsOf(c)
	o.config.path = path
	if err := c.ParseFlags([]string{"--max-per-ip=9"}); err != nil {
		t.Fatal(err)
	}
	if problems := o.config.load(c, []string{"SLUICE_MAX_CONNS=6"}); len(problems) > 0 {
		t.Fatal(problems)
	}
	all, err := listenersOf(o, nil)
	if err != nil || len(all) != 3 {
		t.Fatal(all, err)
	}
	if l := all[0]; !slices.Equal(l.Origins, []string{"own.example"}) || l.MaxConns != 3 || l.Compress || l.MaxPerIP != 9 {
		t.Errorf("the first: %+v", l)
	}
	if l := all[1]; l.Heartbeat.Minutes() != 1 || l.Overflow != overflows["oldest"] || l.MaxConns != 6 {
		t.Errorf("the second: %+v", l)
	}
	if l := all[2]; !slices.Equal(l.Origins, []string{"shared.example"}) || l.MaxConns != 6 || !l.Compress {
		t.Errorf("the third: %+v", l)
	}
}

// A worker may share its file with a gateway: only its command line must fit it.
func TestAFileForGatewayAndWorker(t *testing.T) {
	t.Parallel()
	path := settingsFile(t, "gateway: [127.0.0.1:2300]\nmax_conns: 3\n")
	for _, worker := range []bool{false, true} {
		c, _ := server(command(quiet(), nil), "chat")
		o := optionsOf(c)
		o.config.path = path
		o.worker = worker
		if problems := append(o.config.load(c, nil), o.config.check(c)...); len(problems) > 0 {
			t.Errorf("worker %v: %v", worker, problems)
		}
	}
}
