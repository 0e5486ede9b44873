package gateway

import (
	"fmt"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// publishes reports whether k is the link of a publisher, which gets no clients.
func publishes(k *workerLink) bool { return k.hello.Role == link.RolePublisher }

// mayPublish returns an error if a publisher must not send the frame by the link k.
func mayPublish(k *workerLink, f *link.Frame) error {
	if !publishes(k) {
		return nil
	}
	switch f.Type {
	case link.Unit, link.Blocked, link.Relay, link.Peers, link.Authenticates, link.Identity, link.Drain:
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
		if !publishes(k) {
			return true
		}
	}
	return false
}
