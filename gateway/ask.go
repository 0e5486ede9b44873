package gateway

import (
	"context"
	"time"
)

// answerTime is how long ask waits for all loops together.
const answerTime = time.Second

// ask runs f on each loop and returns the results that come in time. A busy loop may run f later.
func ask[T any](g *Gateway, f func(*loop) T) []T {
	answers := make([]chan T, 0, len(g.loops))
	for _, l := range g.loops {
		answer := make(chan T, 1)
		if l.el.Post(func() { answer <- f(l) }) == nil {
			answers = append(answers, answer)
		}
	}
	late, cancel := context.WithTimeout(context.Background(), answerTime)
	defer cancel()
	all := make([]T, 0, len(answers))
	for _, answer := range answers {
		select {
		case s := <-answer:
			all = append(all, s)
			continue
		case <-late.Done():
		}
		select {
		case s := <-answer:
			all = append(all, s)
		default:
		}
	}
	return all
}
