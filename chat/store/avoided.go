package store

import (
	"slices"

	"github.com/seed-7410fe32/sluice/internal/kv"
)

// avoid notes that somebody has blocked the person.
func avoid(t kv.Tx, uid string) {
	p := personOf(t, uid)
	p.Avoided = true
	p.save(t)
}

// avoided reports whether somebody may have blocked the person.
func avoided(t kv.Tx, uid string) bool {
	p := personOf(t, uid)
	return p != nil && p.Avoided
}

// hide removes what people have said whom the reader has blocked.
func (p *Page) hide(t kv.Tx, reader string) {
	if me := personOf(t, reader); me != nil {
		p.Messages = slices.DeleteFunc(p.Messages, func(m Message) bool { return slices.Contains(me.Blocked, m.UID) })
	}
}
