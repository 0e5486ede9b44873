package worker

// pool runs sessions on goroutines of their own, one for each session that has something to do. It
// has no bound of its own, because a session that waited for a free place behind handlers that
// block would be held up by them. Each client has one such goroutine at most, and gateways bound
// the number of clients, including those that have disconnected while their handler runs (SPEC.md,
// credit).
type pool struct{ w *Worker }

func (p *pool) init(w *Worker) { p.w = w }

// start runs the queue of a session that is busy and has no goroutine.
func (p *pool) start(s *session) {
	p.w.tasks.Add(1)
	go p.work(s)
}

func (p *pool) work(s *session) {
	defer p.w.tasks.Done()
	over := false
	defer func() {
		if !over { // a handler has ended this goroutine (runtime.Goexit); another one continues
			p.start(s)
		}
	}()
	s.run(p.w.watch.labelGoroutine())
	over = true
}
