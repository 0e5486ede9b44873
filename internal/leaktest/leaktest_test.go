package leaktest

import (
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// leakEnv makes a child of this test leak something.
const leakEnv = "SLUICE_LEAK"

func TestMain(m *testing.M) {
	if os.Getenv(leakEnv) != "" {
		os.Exit(run(m, 200*time.Millisecond)) // what it leaves does not go
	}
	Main(m)
}

// A package whose tests pass and leave a goroutine, a descriptor or a process behind fails and
// names it.
func TestWhatIsLeftIsFound(t *testing.T) {
	t.Parallel()
	for what, says := range map[string]string{"nothing": "", "goroutine": "goroutine", "descriptor": "descriptors",
		"process": "processes"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run", "^TestLeak$")
			cmd.Env = append(os.Environ(), leakEnv+"="+what)
			out, err := cmd.CombinedOutput()
			if (err == nil) != (what == "nothing") || !strings.Contains(string(out), says) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

// This is what TestWhatIsLeftIsFound runs in the child.
func TestLeak(t *testing.T) {
	switch os.Getenv(leakEnv) {
	case "goroutine":
		go func() { select {} }()
	case "descriptor":
		f, err := os.Open(os.Args[0])
		if err != nil {
			t.Fatal(err)
		}
		kept = f
	case "nothing": // but what package net keeps in a pool
		splice(t)
	case "process":
		cmd := exec.Command("cat") // ends with this process
		if _, err := cmd.StdinPipe(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
	}
}

var kept *os.File // otherwise it would be closed when it is collected

// splice sends a byte from one TCP connection to another, inside the kernel.
func splice(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	pair := func() (near, far net.Conn) {
		near, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = near.Close() })
		if far, err = ln.Accept(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = far.Close() })
		return near, far
	}
	a, in := pair()
	out, b := pair()
	if _, err := a.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	_ = a.Close()
	if n, err := io.Copy(out, in); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	_, _ = b.Read(make([]byte, 1))
}
