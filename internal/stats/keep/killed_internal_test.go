package keep

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-7410fe32/sluice/internal/suite"
)

// childEnv makes the test program keep the reports that it is told on its standard input, in this
// directory. roomEnv bounds the size of its file until it reads the line "room".
const (
	childEnv = "SLUICE_TEST_KEEPER"
	roomEnv  = "SLUICE_TEST_KEEPER_ROOM"
)

// runChild keeps a report for each number that it reads, and prints the number when it is kept, or
// "failed" and the number.
func runChild(dir string) {
	k, err := open(Config{MaxBytes: 256 << 20, Logger: slog.New(slog.DiscardHandler)}, dir+"/"+fileName)
	if err != nil {
		panic(err)
	}
	k.every = 5 * time.Millisecond
	go k.run()
	if text := os.Getenv(roomEnv); text != "" {
		room, _ := strconv.ParseUint(text, 10, 64)
		limitFiles(room)
	}
	fmt.Println("ready")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		if in.Text() == "room" {
			limitFiles(1 << 40)
			continue
		}
		seq, _ := strconv.ParseUint(in.Text(), 10, 64)
		go func() {
			r := calls(7, seq, int(seq%5)+1)
			r.Rows[0].Interface = fmt.Sprint("interface ", seq%400)
			if err := k.Take(context.Background(), r); err != nil {
				fmt.Println("failed", seq)
			} else {
				fmt.Println(seq)
			}
		}()
	}
}

// child is a process that keeps reports.
type child struct {
	cmd  *exec.Cmd
	in   *os.File
	out  *bufio.Scanner
	kill func()
}

func startChild(t *testing.T, dir string, env ...string) *child {
	t.Helper()
	c := &child{cmd: exec.Command(os.Args[0])}
	c.cmd.Env = append(append(os.Environ(), childEnv+"="+dir), env...)
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c.cmd.Stdin, c.in, c.out = read, write, bufio.NewScanner(out)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = read.Close()
	c.kill = sync.OnceFunc(func() {
		_ = c.cmd.Process.Kill()
		_ = write.Close()
		for c.out.Scan() { // until all that it wrote is read
		}
		_ = c.cmd.Wait()
	})
	t.Cleanup(c.kill)
	if !c.out.Scan() || c.out.Text() != "ready" {
		t.Fatalf("the child says %q", c.out.Text())
	}
	return c
}

// tell tells the child to keep the reports.
func (c *child) tell(seqs []uint64) {
	var b strings.Builder
	for _, seq := range seqs {
		fmt.Fprintln(&b, seq)
	}
	_, _ = c.in.WriteString(b.String()) // it may have been killed
}

// The process that keeps is killed again and again while it writes. What it has not acknowledged
// comes again. In the end each call is counted once.
func TestKilled(t *testing.T) {
	t.Parallel()
	dir, random := t.TempDir(), rand.New(rand.NewPCG(1, 2))
	acknowledged := make(map[uint64]bool)
	next, kills := uint64(1), suite.Of(t, 10, 25, "kills")
	for round := 0; round <= kills; round++ {
		c := startChild(t, dir)
		var waiting []uint64
		for seq := uint64(1); seq < next; seq++ {
			if !acknowledged[seq] {
				waiting = append(waiting, seq)
			}
		}
		for range 100 {
			waiting = append(waiting, next)
			next++
		}
		c.tell(waiting)
		goOn := len(waiting)/2 + random.IntN(len(waiting)/2)
		if round == kills {
			goOn = len(waiting)
		}
		for range goOn {
			if !c.out.Scan() {
				t.Fatal("the child has ended")
			}
			seq, err := strconv.ParseUint(c.out.Text(), 10, 64)
			if err != nil {
				t.Fatalf("the child says %q", c.out.Text())
			}
			acknowledged[seq] = true
		}
		time.Sleep(time.Duration(random.IntN(5)) * time.Millisecond) // so that it is killed at any point of a write
		c.kill()
	}
	k := opened(t, dir)
	want := uint64(0)
	for seq := uint64(1); seq < next; seq++ {
		want += seq%5 + 1
	}
	if n := count(t, k); n != want {
		t.Errorf("%d calls, want %d", n, want)
	}
}
