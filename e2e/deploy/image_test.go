package deploy_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/seed-7410fe32/sluice/internal/proctest"
	"github.com/seed-7410fe32/sluice/internal/suite"
)

// The Containerfile keeps the rules that linters of such files have: a last stage without a shell
// and without root, no ADD, versions, arguments in the exec form.
func TestContainerfile(t *testing.T) {
	t.Parallel()
	text := strings.ReplaceAll(read(t, "Containerfile"), "\\\n", " ")
	stages := strings.Split(text, "\nFROM ")
	if len(stages) < 3 {
		t.Fatalf("%d stages", len(stages)-1)
	}
	last := stages[len(stages)-1]
	for _, want := range []string{"scratch\n", "\nUSER 65532:65532\n", "\nHEALTHCHECK ", "\nENTRYPOINT [", "\nCMD ["} {
		if !strings.Contains("\n"+last, want) {
			t.Errorf("the last stage has no %q", want)
		}
	}
	commands := regexp.MustCompile(`(?m)^(?:CMD|ENTRYPOINT|HEALTHCHECK.* CMD) (.*)$`)
	for _, m := range commands.FindAllStringSubmatch(text, -1) {
		if !json.Valid([]byte(m[1])) {
			t.Errorf("not in exec form: %s", m[0])
		}
	}
	for line := range strings.Lines(text) {
		switch word, rest, _ := strings.Cut(strings.TrimSpace(line), " "); word {
		case "ADD":
			t.Errorf("COPY is enough: %s", line)
		case "FROM":
			if image, _, _ := strings.Cut(rest, " "); image != "scratch" && (!strings.Contains(image, ":") ||
				strings.HasSuffix(image, ":latest")) {
				t.Errorf("no version: %s", line)
			}
		case "WORKDIR":
			if !strings.HasPrefix(rest, "/") {
				t.Errorf("not an absolute path: %s", line)
			}
		}
	}
	var command []string
	_, after, _ := strings.Cut(last, "\nCMD ")
	if err := json.Unmarshal([]byte(after), &command); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"config", "print"}, command...)
	if out, err := exec.Command(proctest.Build(t), args...).CombinedOutput(); err != nil ||
		!strings.Contains(string(out), "\nadmin: 127.0.0.1:9090 ") {
		t.Errorf("the command of the image: %v\n%s", err, out)
	}
	// The version of Go is that of go.mod.
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(mod)
	if !strings.Contains(text, "/golang:"+string(version[1])+"-") {
		t.Errorf("the image is not built with Go %s", version[1])
	}
}

// The bill of materials names each module of the program with its version.
func TestBillOfMaterials(t *testing.T) {
	t.Parallel()
	bin := proctest.Build(t)
	cmd := exec.Command("go", "run", "./deploy/sbom", bin)
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		BOMFormat   string
		SpecVersion string
		Components  []struct{ Name, Version, PURL string }
	}
	if err := json.Unmarshal(out, &doc); err != nil || doc.BOMFormat != "CycloneDX" || doc.SpecVersion != "1.6" {
		t.Fatalf("%v: %.200s", err, out)
	}
	listed, err := exec.Command("go", "version", "-m", bin).Output()
	if err != nil {
		t.Fatal(err)
	}
	n := 1 // the standard library
	for _, m := range regexp.MustCompile(`(?m)^\tdep\t(\S+)\t(\S+)`).FindAllSubmatch(listed, -1) {
		n++
		if !bytes.Contains(out, []byte(`"purl": "pkg:golang/`+string(m[1])+"@"+string(m[2])+`"`)) {
			t.Errorf("%s %s is missing", m[1], m[2])
		}
	}
	if len(doc.Components) != n {
		t.Errorf("%d components, not %d", len(doc.Components), n)
	}
}

// A release has the same bytes when it is made again, and its checksums are right.
func TestRelease(t *testing.T) {
	t.Parallel()
	script := "../../deploy/release.sh"
	if out, err := exec.Command("bash", "-n", script).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !suite.Full() {
		t.Skip("SHORTENED: only the syntax of the script")
	}
	var sums []string
	for range 2 {
		dir := t.TempDir()
		cmd := exec.Command("bash", script, "v0", dir)
		cmd.Env = append(os.Environ(), "TARGETS=linux/amd64") // the others are built by CI
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		check := exec.Command("sha256sum", "--check", "--strict", "SHA256SUMS")
		check.Dir = dir
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		sum, err := os.ReadFile(filepath.Join(dir, "SHA256SUMS"))
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, string(sum))
	}
	if sums[0] != sums[1] || strings.Count(sums[0], "\n") != 2 {
		t.Errorf("made twice:\n%s%s", sums[0], sums[1])
	}
}
