package chat_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-7410fe32/sluice/worker/workertest"
)

// Many rooms with one person each do not hide a room with more people.
func TestBusyRoomsAreListed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newChat(t)
		for i := range 52 {
			p := person{g.Dial(workertest.Request{Remote: fmt.Sprintf("192.0.2.%d:1", i)}), t}
			p.Send(fmt.Sprint("/login P", i))
			for j := range 20 {
				p.Send(fmt.Sprintf("/join spam %d %d", i, j))
				time.Sleep(200 * time.Millisecond) // of the bubble's clock
			}
		}
		enter(t, g, "Bob", "busy")
		ada := enter(t, g, "Ada", "busy")
		ada.Send("/rooms")
		e := ada.gets("rooms")
		rooms := e["rooms"].([]any)
		if fmt.Sprint(rooms[0]) != "map[count:2 name:busy]" || len(rooms) != 1000 || e["partial"] != true {
			t.Errorf("%d rooms, partial %v, the first is %v", len(rooms), e["partial"], rooms[0])
		}
	})
}
