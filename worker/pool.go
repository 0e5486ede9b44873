package worker

// pool runs sessions on goroutines of their own, one for each session that has something to do. It has no bound of its own: whoever had to wait for a place behind handlers that
// block would be held up by them. A client has one such goroutine at most, and gateways bound the clients, those too that are gone while a handler of theirs runs (SPEC.md, credit).
type pool struct{ w *Worker }

func (p *pool) init(w *Worker) { p.w = w }

// start runs a session's queue. The session is busy, and nobody's.
func (p *pool) start(s *session) {
	p.w.tasks.Add(1)
	go p.work(s)
}

func (p *pool) work(s *session) {
	defer p.w.tasks.Done()
	over := false
	defer func() {
		if !over { // a handler has ended this goroutine (runtime.Goexit): another one takes its place
			p.start(s)
		}
	}()
	s.run(p.w.watch.labelGoroutine())
	over = true
}
