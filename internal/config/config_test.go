package config

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

// settings are flags of every type.
type settings struct {
	urls, hosts []string
	names       []string
	number      int
	wait        time.Duration
	on          bool
	text        string
	token       string
}

// flags returns the flags of settings, and those of an element of the list url.
func (s *settings) flags() (all, item *pflag.FlagSet) {
	all = pflag.NewFlagSet("", pflag.ContinueOnError)
	all.StringArrayVar(&s.urls, "url-list", []string{"a://1"}, "`URL` of a place")
	all.StringArrayVar(&s.hosts, "host", nil, "`HOST` names; repeatable")
	all.StringSliceVar(&s.names, "name", []string{"x", "y"}, "`NAME`[,NAME] of things")
	all.IntVar(&s.number, "max-number", 7, "`things` at most; 0: no limit")
	all.DurationVar(&s.wait, "wait-time", time.Minute, "`time` to wait")
	all.BoolVar(&s.on, "on", true, "is on")
	all.StringVar(&s.text, "text", "least", "`word` with a meaning")
	all.StringVar(&s.token, "token", "", "`word` that nobody may see")
	all.String("token-file", "", "`file` with the token")
	all.Bool("secret-door", false, "not a setting")
	_ = all.MarkHidden("secret-door")
	item = pflag.NewFlagSet("", pflag.ContinueOnError)
	item.AddFlag(all.Lookup("max-number"))
	item.AddFlag(all.Lookup("host"))
	return all, item
}

func schemaOf(s *settings) Schema {
	all, item := s.flags()
	return Schema{all, "url-list", item}
}

func TestNames(t *testing.T) {
	t.Parallel()
	if Key("max-per-ip") != "max_per_ip" || Env("max-per-ip") != "SLUICE_MAX_PER_IP" {
		t.Errorf("%s, %s", Key("max-per-ip"), Env("max-per-ip"))
	}
}

// Each mistake in a file has its own error with its line, and those that follow are found too.
func TestProblemsOfAFile(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"":                      nil,
		"# nothing":             nil,
		"---\n":                 nil,
		"max_number: 0x10":      nil,
		"wait_time: 0":          nil,
		"text: 4":               nil,
		"name: [a, b]":          nil,
		"name: a":               nil,
		"host: []":              nil,
		"a: &a 3":               {"f:1: a: unknown key"},
		"- a":                   {"f:1: must be a mapping: lines of the form KEY: VALUE"},
		"word":                  {"f:1: must be a mapping: lines of the form KEY: VALUE"},
		"max_nubmer: 1":         {"f:1: max_nubmer: unknown key: did you mean max_number?"},
		"max-number: 1":         {"f:1: max-number: unknown key: did you mean max_number?"},
		"Max_Number: 1":         {"f:1: Max_Number: unknown key: did you mean max_number?"},
		"secret_door: true":     {"f:1: secret_door: unknown key"},
		"config: x":             {"f:1: config: unknown key"},
		"? [a]\n: 1":            {"f:1: a key must be text"},
		"<<: {on: true}":        {"f:1: <<: unknown key"},
		"on: yes":               {`f:1: on: "yes": must be true or false`},
		"on: 1":                 {`f:1: on: "1": must be true or false`},
		"max_number: 1.5":       {`f:1: max_number: "1.5": must be a whole number`},
		"max_number: ten":       {`f:1: max_number: "ten": must be a whole number`},
		"max_number: '1'":       {`f:1: max_number: "1": must be a whole number`},
		"max_number: [1]":       {"f:1: max_number: must be a whole number"},
		"max_number: {a: 1}":    {"f:1: max_number: must be a whole number"},
		"wait_time: 10":         {`f:1: wait_time: "10": must be a time with its unit, for example 10s, 1m30s or 200ms`},
		"text: true":            {`f:1: text: "true": must be text, for example "a"`},
		"text:":                 {`f:1: text: has no value: remove the line, or write "" for empty text`},
		"name: {a: b}":          {"f:1: name: must be a list, for example [a, b]"},
		"name: [a, [b]]":        {`f:1: name: must be text, for example "a"`},
		"on: true\n\non: false": {"f:3: on: is there twice: first in line 1"},
		"on: true\n---\non: true": {
			"f:2: a second document: there must be one"},
		"a: [1":      {"f:1: not valid YAML: did not find expected ',' or ']'"},
		"on: \ttrue": nil,
		"on: true\n\tb: c": {
			"f:2: not valid YAML: found a tab character that violates indentation"},
		"x: 1\non: 2\nwait_time: z\ny: 1": {"f:1: x: unknown key", `f:2: on: "2": must be true or false`,
			"f:4: y: unknown key"}, // of the right type: Apply finds it
		"url_list: b://2": nil,
		"url_list: [b://2, {url: c://3, host: [h]}]": nil,
		"url_list: [{url: c://3, text: a}]":          {"f:1: text: cannot be set for one listener"},
		"url_list: [{url: c://3, hots: a}]":          {"f:1: hots: unknown key: did you mean host?"},
		"url_list: [{host: a}]":                      {"f:1: url_list: the key url is missing in this element"},
		"url_list: [{url: ''}]":                      {"f:1: url: must not be empty"},
		"url_list: [{url: [a]}]":                     {`f:1: url: must be text, for example "a"`},
		"url_list:\n- url: c\n  url: d":              {"f:3: url: is there twice: first in line 2"},
		"url_list:\n- url: c\n  max_number: x\n- 1\n- [d]": {
			`f:3: max_number: "x": must be a whole number`, `f:5: url_list: must be text, for example "a"`},
		"x: &a [*a]": {"f:1: x: unknown key"},
		"host: &a [*a]": {
			`f:1: host: must be text, for example "a"`},
	} {
		_, problems := Parse("f", []byte(text), schemaOf(new(settings)))
		var got []string
		for _, p := range problems {
			got = append(got, p.Error())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q:\n%q\nwant\n%q", text, got, want)
		}
	}
	if _, problems := Parse("f", make([]byte, maxFile+1), schemaOf(new(settings))); len(problems) != 1 {
		t.Errorf("a file of more than %d bytes: %v", maxFile, problems)
	}
	if _, problems := Read(t.TempDir(), schemaOf(new(settings))); len(problems) != 1 {
		t.Errorf("a directory: %v", problems)
	}
}

// The command line wins over the environment, that over the file, that over the default.
func TestPrecedence(t *testing.T) {
	t.Parallel()
	var s settings
	schema := schemaOf(&s)
	if err := schema.Flags.Parse([]string{"--max-number=1", "--host=flag"}); err != nil {
		t.Fatal(err)
	}
	file := "max_number: 3\nwait_time: 3s\ntext: file\nhost: [file]\nname: [f, g]\n" +
		"url_list: [b://2, {url: c://3, host: h}]"
	made, problems := Parse("f", []byte(file), schema)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	environ := []string{
		"SLUICE_MAX_NUMBER=2", "SLUICE_WAIT_TIME=2s", "SLUICE_HOST=env", "SLUICE_TEXT=", "TEXT=other", "SLUICE_ON=false",
	}
	sources, problems := Apply(schema.Flags, "f", made, environ)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	want := settings{urls: []string{"b://2", "c://3"}, hosts: []string{"flag"}, names: []string{"f", "g"}, number: 1,
		wait: 2 * time.Second, text: "file"}
	if !slices.Equal(s.urls, want.urls) || !slices.Equal(s.hosts, want.hosts) || !slices.Equal(s.names, want.names) ||
		s.number != want.number || s.wait != want.wait || s.on || s.text != want.text {
		t.Errorf("%+v, want %+v", s, want)
	}
	for flag, from := range map[string]Source{
		"max-number": {Kind: FromFlag}, "wait-time": {Kind: FromEnv}, "text": {FromFile, "f", 3}, "token": {},
	} {
		if sources[flag] != from {
			t.Errorf("source of --%s: %+v, want %+v", flag, sources[flag], from)
		}
	}
	text := Print(All(schema.Flags, nil, nil, "All"), sources, "url-list", made[5].Items)
	for _, want := range []string{
		"max_number: 1  # --max-number\n", "wait_time: 2s  # SLUICE_WAIT_TIME\n", "text: file  # f:3\n",
		"token: \"\"  # default\n", "  - url: c://3\n    host: h  # f:6\n", "name: [f, g]  # f:5\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if _, problems := Parse("printed", []byte(text), schemaOf(new(settings))); len(problems) > 0 {
		t.Errorf("what is printed is not a file with settings: %v", problems)
	}
}

func TestListsInTheEnvironment(t *testing.T) {
	t.Parallel()
	for value, want := range map[string][]string{
		"a": {"a"}, "a,b": {"a", "b"}, " a b\nc ": {"a", "b", "c"}, "a, b,,": {"a", "b"},
		"ws://h:1?subprotocol=v2,v1,text://h:2 ws://h:3": {"ws://h:1?subprotocol=v2,v1", "text://h:2", "ws://h:3"},
	} {
		var s settings
		schema := schemaOf(&s)
		if _, problems := Apply(schema.Flags, "", nil, []string{"SLUICE_URL_LIST=" + value}); len(problems) > 0 {
			t.Errorf("%q: %v", value, problems)
		}
		if !slices.Equal(s.urls, want) {
			t.Errorf("%q: %q, want %q", value, s.urls, want)
		}
	}
}

// Values of the right type that the flag refuses are problems too. Those of secrets are not shown.
func TestValuesThatFlagsRefuse(t *testing.T) {
	t.Parallel()
	schema := schemaOf(new(settings))
	made, _ := Parse("f", []byte("wait_time: soon\n"), schema)
	_, problems := Apply(schema.Flags, "f", made, []string{"SLUICE_MAX_NUMBER=99999999999999999999", "SLUICE_ON=perhaps"})
	var got []string
	for _, p := range problems {
		got = append(got, p.Error())
	}
	want := []string{
		`SLUICE_MAX_NUMBER: "99999999999999999999": out of range`,
		`SLUICE_ON: "perhaps": must be true or false`,
		`f:1: wait_time: "soon": must be a time with its unit, for example 10s, 1m30s or 200ms`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestSecretsAreMasked(t *testing.T) {
	t.Parallel()
	schema := schemaOf(new(settings))
	sources, _ := Apply(schema.Flags, "", nil, []string{"SLUICE_TOKEN=hunter2", "SLUICE_TOKEN_FILE=/run/token"})
	text := Print(All(schema.Flags, nil, nil, "All"), sources, "", nil)
	if strings.Contains(text, "hunter2") || !strings.Contains(text, `token: "***"`) ||
		!strings.Contains(text, "token_file: /run/token") {
		t.Error(text)
	}
}

// Variables that look like one of this program are suspicious. Those of Kubernetes are not.
func TestUnknownVariables(t *testing.T) {
	t.Parallel()
	flags, _ := new(settings).flags()
	got := UnknownVariables(flags, []string{
		"SLUICE_MAX_NUMBERS=1", "SLUICE_MAX_NUMBER=1", "SLUICE_PORT_7272_TCP=tcp://1", "SLUICE_SERVICE_HOST=1", "NUMBER=1",
		"SLUICE_PORT=1",
	})
	// The example of docs/configuration.md.
	flags = pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.Int("max-conns", 0, "")
	if example := UnknownVariables(flags, []string{"SLUICE_MAX_CON=5"}); example["SLUICE_MAX_CON"] != "SLUICE_MAX_CONNS" {
		t.Error(example)
	}
	if len(got) != 1 || got["SLUICE_MAX_NUMBERS"] != "SLUICE_MAX_NUMBER" {
		t.Error(got)
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	names := []string{"max_conns", "max_message", "origin"}
	for name, want := range map[string]string{
		"max_con": "max_conns", "maxconns": "max_conns", "max_massage": "max_message", "origim": "origin", "zebra": "",
		"x": "", "origins": "origin",
	} {
		if got := Nearest(name, names); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// The example has the defaults, and is itself a file with settings.
func TestExample(t *testing.T) {
	t.Parallel()
	flags, item := new(settings).flags()
	text := Example("head", All(flags, []string{"First"}, [][]string{{"on", "text"}}, "Rest"),
		func(f *pflag.Flag) string { return map[bool]string{true: "It is off."}[f.Name == "wait-time"] })
	made, problems := Parse("f", []byte(text), Schema{flags, "url-list", item})
	if len(problems) > 0 {
		t.Fatalf("%v in\n%s", problems, text)
	}
	if len(made) != 8 || !strings.Contains(text, "# It is off.\n#wait_time: 1m0s\n") {
		t.Errorf("%d settings in\n%s", len(made), text)
	}
	var s settings
	other, _ := s.flags()
	if _, problems := Apply(other, "f", made, nil); len(problems) > 0 {
		t.Error(problems)
	}
	other.VisitAll(func(f *pflag.Flag) {
		if f.Value.String() != f.DefValue {
			t.Errorf("--%s is %s in the example, %s by default", f.Name, f.Value, f.DefValue)
		}
	})
}

// Text survives as a value, whatever it contains.
func TestScalars(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "a", "4", "true", "null", "~", "a: b", "a #b", "#", "'", `"`, `\`, "*a", "&a", "- a", "[a]", "{", "a\nb",
		"%", "@",
		"0x1", "1e3", "2026-11-29", ":", "a:", "?", "!x", "|", ">", " a ", "=", "<<", "é",
	} {
		var s settings
		schema := schemaOf(&s)
		made, problems := Parse("f", []byte("host: ["+scalar(text)+"]\ntext: "+scalar(text)), schema)
		if len(problems) > 0 {
			t.Errorf("%q: %v", text, problems)
			continue
		}
		Apply(schema.Flags, "f", made, nil)
		if s.text != text || s.hosts[0] != text {
			t.Errorf("%q is read as %q and %q", text, s.text, s.hosts[0])
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("max_number: 3\nurl_list: [a://1, {url: b, host: [c]}]\n"))
	f.Add([]byte("x: &a [*a]\n---\n? [a]\n: 1"))
	f.Fuzz(func(t *testing.T, text []byte) {
		schema := schemaOf(new(settings))
		made, problems := Parse("f", text, schema)
		Apply(schema.Flags, "f", made, nil)
		for _, p := range problems {
			if p.Text == "" {
				t.Errorf("a problem without a text: %+v", p)
			}
		}
	})
}
