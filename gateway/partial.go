package gateway

import (
	"cmp"
	"container/heap"
	"net/netip"
	"slices"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// holder is an address and the clients of a loop there that hold incomplete messages.
type holder struct {
	clients []*session // bound: lists of clients
	bytes   int
}

// holders is a heap of holders. The one that holds most is first.
type holders []*holder

func (h holders) Len() int           { return len(h) }
func (h holders) Less(i, j int) bool { return h[i].bytes > h[j].bytes }
func (h holders) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *holders) Push(x any)        { *h = append(*h, x.(*holder)) }
func (h *holders) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}

// trimPartial keeps the bytes held of incomplete messages within MaxPartialBytes. It closes the
// client that holds most, of the address that holds most (an IPv6 /64 counts as one address). Of
// equal clients it closes the one whose message began first. So many clients of one address are
// closed before a client of another address that uploads slowly, however little each holds and
// however often they start again. It goes on down to seven eighths of the bound, so that the
// clients are not sorted for each message. A single message is kept whatever its size.
func (l *loop) trimPartial() {
	bound := l.g.cfg.MaxPartialBytes
	if l.partial <= bound {
		return
	}
	all := l.holders() // not empty, because bytes are held
	for l.partial > bound-bound/8 {
		h := all[0]
		if len(h.clients) == 0 || len(h.clients) == 1 && h.bytes == l.partial {
			return
		}
		worst := h.clients[0]
		h.clients = h.clients[1:]
		h.bytes -= int(worst.partial)
		heap.Fix(&all, 0)
		l.stats.PartialEvictions++
		worst.end(link.ReasonLimit)
	}
}

// holders returns the holders of the loop, each with its clients in the order in which they are
// closed.
func (l *loop) holders() holders {
	var all holders
	by := make(map[netip.Addr]*holder)
	for _, s := range l.deadlines {
		if s.partial == 0 {
			continue
		}
		from := s.conn.Origin()
		h := by[from]
		if h == nil {
			h = new(holder)
			by[from], all = h, append(all, h)
		}
		h.clients = append(h.clients, s)
		h.bytes += int(s.partial)
	}
	for _, h := range all {
		slices.SortFunc(h.clients, func(a, b *session) int {
			return cmp.Or(cmp.Compare(b.partial, a.partial), cmp.Compare(a.begun, b.begun))
		})
	}
	heap.Init(&all)
	return all
}
