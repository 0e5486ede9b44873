package worker

import "sync"

// pool runs sessions on goroutines, at most maxPool at once; further ones wait in a list that the links' windows bound.
type pool struct {
	w       *Worker
	mu      sync.Mutex
	running int        // guarded by mu
	waiting []*session // guarded by mu; bound: none, one for each client whose call has to wait
}

// maxPool is how many handlers may block at once.
const maxPool = 4096

func (p *pool) init(w *Worker) { p.w = w }

func (p *pool) start(s *session) {
	p.mu.Lock()
	if p.running == maxPool {
		p.waiting = append(p.waiting, s)
		p.mu.Unlock()
		return
	}
	p.running++
	p.mu.Unlock()
	p.w.tasks.Add(1)
	go p.work(s)
}

func (p *pool) work(s *session) {
	defer p.w.tasks.Done()
	defer func() {
		if s != nil { // a handler has ended this goroutine (runtime.Goexit): another one takes its place
			p.w.tasks.Add(1)
			go p.work(s)
		}
	}()
	goroutine := p.w.watch.name()
	for s != nil {
		s.run(goroutine)
		s = p.next()
	}
}

func (p *pool) next() *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) == 0 {
		p.running--
		return nil
	}
	s := p.waiting[0]
	p.waiting = p.waiting[1:]
	return s
}
