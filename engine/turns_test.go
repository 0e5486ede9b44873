package engine

import (
	"bytes"
	"fmt"
	"io"
	"sync"
	"testing"
)

// A conn with much input does not use a loop until its end: the loop reads its other sockets
// between two of the conn's turns.
func TestYieldLetsOthersIn(t *testing.T) {
	t.Parallel()
	e := start(t, Config{Loops: 1})
	const size = 4000
	said := make(chan string, size+1)
	var other *Conn
	_, flood := opened(t, e, funcs{data: func(c *Conn, in []byte) int {
		said <- "flood"
		if len(in) > 1 {
			c.Yield(0)
		}
		return 1
	}}, ConnOptions{})
	other, quiet := opened(t, e, funcs{data: func(_ *Conn, in []byte) int {
		said <- string(in)
		return len(in)
	}}, ConnOptions{})
	hold := make(chan struct{})
	let := sync.OnceFunc(func() { close(hold) })
	defer let() // also when the test fails
	if err := other.Loop().Post(func() { <-hold }); err != nil {
		t.Fatal(err)
	}
	if _, err := flood.Write(bytes.Repeat([]byte("x"), size)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(quiet, "quiet"); err != nil {
		t.Fatal(err)
	}
	let()
	for n := 0; ; n++ {
		if what := receive(t, said); what != "flood" {
			if n > size/4 {
				t.Errorf("%d turns of the flood came before it", n)
			}
			break
		}
	}
}

// The lowest at comes first.
func TestYieldHeap(t *testing.T) {
	t.Parallel()
	var h yieldHeap
	for i := range 200 {
		h.push(yielded{at: uint64(i * 7919 % 31), nth: uint64(i)})
		if i%3 == 0 {
			h.pop()
		}
	}
	var last yielded
	for n := len(h); n > 0; n-- {
		y := h.pop()
		if y.before(last) {
			t.Fatal(fmt.Sprint(y, " comes after ", last))
		}
		last = y
	}
}
