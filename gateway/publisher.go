package gateway

import (
	"fmt"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// publishes reports whether it is the link of a publisher, which gets no clients.
func (k *workerLink) publishes() bool { return k.hello.Role == link.RolePublisher }

// mayPublish returns an error if a publisher must not send the frame.
func (k *workerLink) mayPublish(f *link.Frame) error {
	if !k.publishes() {
		return nil
	}
	switch f.Type {
	case link.Unit, link.Relay, link.Peers, link.Authenticates, link.Identity, link.Drain:
	case link.Send:
		if !f.Has(link.FlagHandled) {
			return nil
		}
	default:
		return nil
	}
	return fmt.Errorf("%w: a publisher must not send %v", link.ErrFrame, f.Type)
}

// hasWorkerLink reports whether a worker has a link to the loop. A publisher acknowledges nothing.
func (l *loop) hasWorkerLink() bool {
	for _, k := range l.links {
		if !k.publishes() {
			return true
		}
	}
	return false
}
