package link

import "sort"

// late contains the frames that were moved out of the ring: they are unacknowledged and older than
// all frames in the ring. The list is ordered by sequence. The sequences differ by less than
// maxSpan.
type late struct {
	list  []lateFrame // bound: messages a worker has not acknowledged
	head  int         // the entries before it are acknowledged
	live  int         // unacknowledged frames
	bytes int         // bytes of those frames, without the large ones
	large int         // bytes of the large frames
}

type lateFrame struct {
	seq uint32
	sentFrame
}

// add appends a frame that is newer than all others.
func (l *late) add(seq uint32, e sentFrame) {
	l.list = append(l.list, lateFrame{seq, e})
	l.count(e, 1)
}

func (l *late) count(e sentFrame, n int) {
	l.live += n
	if e.large() {
		l.large += n * e.bytes()
	} else {
		l.bytes += n * e.bytes()
	}
}

// find returns a frame, or nil if it is not in the list or is acknowledged.
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

// take removes a frame. Its size is 0 if it is not in the list.
func (l *late) take(seq uint32) (was sentFrame) {
	e := l.find(seq)
	if e == nil {
		return was
	}
	was, e.size = e.sentFrame, 0
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
