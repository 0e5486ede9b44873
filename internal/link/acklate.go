package link

import "sort"

// late is the list of frames that were put aside: unacknowledged, and older than all in the ring.
// They are in the order of their sequences, which are less than maxSpan apart.
type late struct {
	list  []lateFrame // bound: messages a worker has not acknowledged
	head  int         // those before it are acknowledged
	live  int         // frames that are not acknowledged
	bytes int         // of the live frames, without the large ones
	large int         // bytes of the large ones
}

type lateFrame struct {
	seq uint32
	sent
}

// add appends a frame that is newer than all others.
func (l *late) add(seq uint32, e sent) {
	l.list = append(l.list, lateFrame{seq, e})
	l.count(e, 1)
}

func (l *late) count(e sent, n int) {
	l.live += n
	if e.large() {
		l.large += n * e.bytes()
	} else {
		l.bytes += n * e.bytes()
	}
}

// find returns a frame, nil when it is not there or is acknowledged.
func (l *late) find(seq uint32) *lateFrame {
	open := l.list[l.head:]
	if len(open) == 0 {
		return nil
	}
	from := open[0].seq
	i := sort.Search(len(open), func(i int) bool { return open[i].seq-from >= seq-from })
	if i == len(open) || open[i].seq != seq || open[i].size == 0 {
		return nil
	}
	return &open[i]
}

// take removes a frame. Its size is 0 when it is not there.
func (l *late) take(seq uint32) (was sent) {
	e := l.find(seq)
	if e == nil {
		return was
	}
	was, e.size = e.sent, 0
	l.count(was, -1)
	for l.head < len(l.list) && l.list[l.head].size == 0 {
		l.head++
	}
	if l.live == 0 {
		*l = late{}
	} else if l.head > len(l.list)/2 {
		l.list = l.list[:copy(l.list, l.list[l.head:])]
		l.head = 0
	}
	return was
}
