package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-7410fe32/sluice/internal/proctest"
)

// TestBenchTargetURL loads an echo by its URL, with a login, tokens and a message
// template, from two generator processes.
func TestBenchTargetURL(t *testing.T) {
	t.Parallel()
	bin, dir := proctest.Build(t), t.TempDir()
	write := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	p := proctest.Start(t, nil, bin, "echo", "--listen", "ws://127.0.0.1:0", "--listen", "text://127.0.0.1:0")
	tokens := write("tokens", "one\ntwo\n")
	login := write("login", "send I am {line}\nexpect /^I am (one|two)$/\ncapture name /I am (.*)/\n")
	short := []string{"-c", "20", "-z", "300ms", "--warmup", "50ms", "--data", tokens, "--login", login}
	out, code := sluice(t, bin, append([]string{
		"bench", "echo", "--target", "ws://" + p.Addrs["ws"] + "/chat?token={line}",
		"--header", "Authorization: Bearer {line}", "--processes", "2",
		"--payload", write("payload", `{"from":"{name}","n":{seq},"text":"{message}"}`+"\n"),
	}, short...)...)
	if code != 0 || !wentWell(out) || !strings.Contains(out, "over ws") {
		t.Errorf("exit code %d", code)
	}
	out, code = sluice(t, bin, append([]string{
		"bench", "churn", "--target", "tcp://" + p.Addrs["text"],
		"--message", "{name} {message}", "--reply", "any", "-s", "16",
	}, short...)...)
	if code != 0 || !strings.Contains(out, "over text") || !strings.Contains(out, "\n  not audited: ") {
		t.Errorf("exit code %d", code)
	}
	for _, args := range [][]string{
		{"--target", "http://127.0.0.1:1"}, {"--target", "ws://127.0.0.1:1/#x"},
		{"--target", "ws://127.0.0.1:1", "--codec", "text"}, {"--target", "ws://a@127.0.0.1:1"},
		{"--target", "127.0.0.1:1", "--insecure"}, {"--target", "wss://127.0.0.1:1", "--ca", "/nowhere/ca.pem"},
		{"--target", "127.0.0.1:1", "--header", "x"}, {"--target", "127.0.0.1:1", "--login", "/nowhere/login"},
		{"--target", "127.0.0.1:1", "--login", tokens}, {"--target", "127.0.0.1:1", "--payload", "/nowhere/payload"},
		{"--target", "127.0.0.1:1", "--message", "no place"}, {"--message", "x{message}"},
		{"--target", "127.0.0.1:1", "--message", "{message}", "--payload", tokens}, {"--target", ""},
		{"--target", "127.0.0.1:1", "--gateways", "2"}, {"--target", "127.0.0.1:1", "--pin"},
		{"--target", "127.0.0.1:1", "--worker-procs", "1"},
		{"--source", "here"}, {"--data", "/nowhere/data"},
	} {
		if out, code := sluice(t, bin, append([]string{"bench", "echo"}, args...)...); code != 2 || out != "" {
			t.Errorf("%v: exit code %d", args, code)
		}
	}
}
