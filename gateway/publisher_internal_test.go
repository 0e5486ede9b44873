package gateway

import (
	"testing"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// A drain does not wait for publishers to acknowledge clients that are gone.
func TestADrainDoesNotWaitForPublishers(t *testing.T) {
	t.Parallel()
	p := newWorkerLink(nil, link.WorkerHello{Role: link.RolePublisher, Window: 1})
	l := &loop{links: map[uint32]*workerLink{1: p}}
	if l.hasWorkerLink() {
		t.Error("a publisher counts as a worker")
	}
	l.links[2] = newWorkerLink(nil, link.WorkerHello{Role: link.RoleWorker, Window: 1})
	if !l.hasWorkerLink() {
		t.Error("a worker does not count")
	}
}
