package soak

import (
	"context"
	"sync"
	"time"

	"sluice/internal/child"
	"sluice/internal/proc"
)

// watch follows the memory of gateways.
type watch struct {
	mu   sync.Mutex
	most []int // guarded by mu: resident bytes of each gateway since take
}

// lookEvery is how often. A peak that is shorter may be missed.
const lookEvery = 100 * time.Millisecond

// run looks until ctx ends.
func (w *watch) run(ctx context.Context, gateways []*child.Process) {
	for {
		w.mu.Lock()
		for i, p := range gateways {
			w.most[i] = max(w.most[i], proc.Resident(p.PID))
		}
		w.mu.Unlock()
		if !pause(ctx, lookEvery) {
			return
		}
	}
}

// take returns the most that each gateway has held since the last call; 0 where the system does not tell.
func (w *watch) take() []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	most := w.most
	w.most = make([]int, len(most))
	return most
}
