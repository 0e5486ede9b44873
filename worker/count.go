package worker

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// countQuestion is what one COUNT asks for. Each key is in it once, because the gateway would count
// a repeated key repeatedly.
type countQuestion struct {
	keys []string         // bound: none, the caller's
	of   map[string][]int // by key: the targets that have it; bound: none, the caller's
}

// ask adds the keys of target i.
func (q *countQuestion) ask(t *Target, i int) {
	add := func(key string) {
		if is := q.of[key]; len(is) == 0 {
			q.keys = append(q.keys, key)
		} else if is[len(is)-1] == i {
			return
		}
		q.of[key] = append(q.of[key], i)
	}
	switch t.kind {
	case targetEveryone:
		q.of[""] = append(q.of[""], i)
	case targetGroup, targetUID:
		add(t.name)
	case targetClient:
		add(string(t.id[:]))
	case targetClients:
		for i := range t.ids {
			add(string(t.ids[i][:]))
		}
	default:
		for _, name := range t.names {
			add(name)
		}
	}
}

// target returns a target that selects all that the question is about.
func (q *countQuestion) target(code uint16) Target {
	switch code {
	case link.TargetGroups:
		return Groups(q.keys...)
	case link.TargetUIDs:
		return UIDs(q.keys...)
	case link.TargetClients:
		ids := make([]ClientID, len(q.keys))
		for i, key := range q.keys {
			copy(ids[i][:], key)
		}
		return Clients(ids...)
	}
	return Everyone()
}

// count asks all gateways that may have such clients, at once, and adds their answers to the
// numbers of the targets.
func (q *countQuestion) count(ctx context.Context, w *Worker, code uint16, n []int) error {
	payload, err := keyList(q.keys)
	if err != nil {
		return err
	}
	t := q.target(code)
	gateways, down, err := w.gateways(ctx, &t)
	if err != nil {
		return err
	}
	keys := q.keys
	if code == link.TargetAll {
		keys = []string{""}
	}
	var mu sync.Mutex
	var cause error
	var all sync.WaitGroup
	for _, id := range gateways {
		all.Go(func() {
			answer, partial, err := w.queryGateway(ctx, id, link.Frame{Type: link.Count, Code: code}, payload)
			mu.Lock()
			defer mu.Unlock()
			if err == nil && len(answer) != 4*len(keys) && !(partial && len(answer) == 0) {
				err = fmt.Errorf("%w: COUNT of %d keys answered with %d bytes", link.ErrFrame, len(keys), len(answer))
			}
			if err != nil {
				down, cause = down+1, err
				return
			}
			if partial {
				down, cause = down+1, errLoopTimeout
			}
			for k := range len(answer) / 4 {
				for _, i := range q.of[keys[k]] {
					n[i] += int(binary.BigEndian.Uint32(answer[4*k:]))
				}
			}
		})
	}
	sessionOf(ctx).aboutToBlock()
	all.Wait()
	return partial(down, cause)
}
