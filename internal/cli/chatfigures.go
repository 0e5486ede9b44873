package cli

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-7410fe32/sluice/chat/store"
)

// chatSizes and chatCounters are the metrics of what the chat keeps. They are fields of
// store.Stats.
var (
	chatSizes = []workerFigure{
		{"Conversations", "sluice_chat_conversations", "Rooms and private talks with messages."},
		{"Messages", "sluice_chat_messages", "Messages that are kept."},
		{"Bytes", "sluice_chat_message_bytes", "Size of these messages."},
		{"People", "sluice_chat_people", "People that are known."},
	}
	chatCounters = []workerFigure{
		{"EvictedConversations", "sluice_chat_evicted_conversations_total",
			"Conversations removed because there were too many, or too many bytes."},
		{"EvictedMessages", "sluice_chat_evicted_messages_total",
			"Messages removed with them, or because their conversation was full."},
		{"ExpiredMessages", "sluice_chat_expired_messages_total", "Messages removed because they were too old."},
		{"EvictedPeople", "sluice_chat_evicted_people_total", "People forgotten because there were too many."},
		{"Refusals", "sluice_chat_refusals_total", "Requests that what keeps the chat has refused."},
	}
)

// chatCollector reads the figures of what the chat keeps. If gateways share it, the sizes are left
// out: to read them, this gateway would have to take the store over from another one.
type chatCollector struct {
	store  *store.Store
	shared bool
}

// Describe implements prometheus.Collector.
func (c chatCollector) Describe(to chan<- *prometheus.Desc) {
	for _, f := range slices.Concat(chatSizes, chatCounters) {
		to <- f.desc()
	}
}

// Collect implements prometheus.Collector.
func (c chatCollector) Collect(to chan<- prometheus.Metric) {
	emitFigures(to, chatCounters, c.store.Counters())
	if c.shared {
		return
	}
	if sizes, err := c.store.Stats(); err == nil { // else the file is damaged, and the log says so
		emitFigures(to, chatSizes, sizes)
	}
}
