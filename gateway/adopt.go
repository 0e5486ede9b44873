package gateway

import (
	"time"

	"github.com/seed-7410fe32/sluice/engine"
)

// Clients that are silent when their worker ends or drains are given to other workers at a pace
// (Config.AdoptRate): a part of the rate every adoptStep, on each loop.

const (
	defaultAdoptRate = 10_000
	adoptStep        = 20 * time.Millisecond
)

// adoptPace is the pace of a loop. Owned by the loop.
type adoptPace struct {
	loop  *loop
	timer engine.Timer
	rest  int64 // thousandths of a client, times the number of loops, that are due from earlier steps
}

// PaceAdoptions implements delivery.Host.
func (h *deliveryHost) PaceAdoptions() {
	if h.g.cfg.AdoptRate > 0 {
		h.el.Schedule(&h.adopts.timer, adoptStep)
	}
}

// OnTimer implements engine.TimerHandler.
func (p *adoptPace) OnTimer(*engine.Timer) {
	p.loop.book.Adopt(p.step(p.loop.g.cfg.AdoptRate, len(p.loop.g.loops)))
}

// step returns how many clients the loop may give to workers now, if it does so every adoptStep and
// all loops have the rate.
func (p *adoptPace) step(rate, loops int) int {
	p.rest += int64(rate) * adoptStep.Milliseconds()
	n := p.rest / (1000 * int64(loops))
	p.rest -= n * 1000 * int64(loops)
	return int(n)
}
