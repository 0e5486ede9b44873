package worker

import (
	"testing"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// Reasons have the same values as those of links, and fields too.
func TestReasonsAreTheLinks(t *testing.T) {
	t.Parallel()
	for reason, is := range map[Reason]link.Reason{
		ReasonPeer: link.ReasonPeer, ReasonKicked: link.ReasonKicked, ReasonIdle: link.ReasonIdle,
		ReasonSlowConsumer: link.ReasonSlowConsumer, ReasonProtocol: link.ReasonProtocol,
		ReasonTooBig: link.ReasonTooBig, ReasonLimit: link.ReasonLimit, ReasonHandshake: link.ReasonHandshake,
		ReasonDraining: link.ReasonDraining, ReasonReplaced: link.ReasonReplaced, ReasonNetwork: link.ReasonNetwork,
		ReasonInternal: link.ReasonInternal, ReasonRefused: link.ReasonRefused, ReasonExpired: link.ReasonExpired,
	} {
		if reason != Reason(is) || reason.String() != is.String() {
			t.Errorf("%d is not %v", reason, is)
		}
	}
	for field, is := range map[Fields]uint8{
		FieldUID: link.FieldUID, FieldGroups: link.FieldGroups, FieldAttrs: link.FieldAttrs,
	} {
		if uint8(field) != is {
			t.Errorf("field %#x is not %#x", uint8(field), is)
		}
	}
}
