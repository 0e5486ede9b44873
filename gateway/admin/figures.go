package admin

import (
	"reflect"
	"strings"
)

// figure is one metric that shows one field of gateway.LoopStats or engine.ListenerStats. A field
// that is a uint64 is a counter, an int is a gauge.
type figure struct {
	field string // its name in the struct; that of a field of a struct in it has a dot
	name  string // of the metric
	help  string
}

// in returns the field of a struct. It is not valid if there is no such field.
func (f *figure) in(of reflect.Value) reflect.Value {
	for name := range strings.SplitSeq(f.field, ".") {
		if of = of.FieldByName(name); !of.IsValid() {
			break
		}
	}
	return of
}

// loopFigures are the metrics of each event loop, in the order of the document. They have the label
// loop.
var loopFigures = []figure{
	{"Clients", "sluice_clients", "Clients that are connected."},
	{"Pending", "sluice_clients_pending", "Connected clients that no worker has admitted yet."},
	{"Suspects", "sluice_clients_suspect", "Clients whose event may end workers, and is tried alone."},
	{"Closing", "sluice_connections_closing",
		"Closed clients that have not taken their last bytes or not answered the close."},
	{"Accepted", "sluice_connections_accepted_total", "Connections, whether they became clients or not."},
	{"Opened", "sluice_clients_opened_total", "Clients that have connected."},
	{"Closed", "sluice_clients_closed_total", "Clients that have gone."},
	{"MessagesIn", "sluice_messages_received_total", "Messages from clients."},
	{"MessagesOut", "sluice_messages_sent_total", "Messages from workers that a client's connection accepted."},

	{"Workers", "sluice_loop_workers", "Workers that take new clients of the event loop."},
	{"WorkersDraining", "sluice_loop_workers_draining",
		"Workers that drain and still have a link to the event loop."},
	{"Links", "sluice_links", "Links to workers."},
	{"PublisherLinks", "sluice_publisher_links", "Links of publishers."},
	{"WorkersBehind", "sluice_workers_behind_total",
		"Times that a worker got no more clients because it had not acknowledged those that had gone."},
	{"ClientsMoved", "sluice_clients_moved_total",
		"Clients that went to another worker because theirs drained, or by --rebalance."},

	{"AdoptionsWaiting", "sluice_adoptions_waiting",
		"Silent clients that no worker has, and that workers adopt at the pace of --adopt-rate."},

	{"QueuedBytes", "sluice_queue_bytes", "Size of the messages that wait for a worker or its credit."},
	{"QueuedTotal", "sluice_messages_queued_total", "Messages that had to wait for a worker or its credit."},
	{"QueueFull", "sluice_queue_full_total", "Times that the queues of the event loop reached their limit."},
	{"ReadPauses", "sluice_read_pauses_total",
		"Times that a client was not read because too many of its bytes were unacknowledged."},
	{"RateLimited", "sluice_rate_limited_total", "Times that a client was not read because it had sent too fast."},
	{"InboxBackpressure", "sluice_inbox_backpressure_total",
		"Times that a link was not read because another event loop or gateway was behind."},

	{"MessagesRejected", "sluice_messages_rejected_total",
		"Messages that no worker took in time, or that came when the queue without a worker was full."},
	{"DeadLettered", "sluice_dead_letters_total",
		"Events that were given up because each worker that got one ended."},
	{"UnackedAtLinkLoss", "sluice_link_loss_frames_total",
		"Frames that were not acknowledged when their link ended."},
	{"Redelivered", "sluice_messages_redelivered_total",
		"Messages that were delivered again because their link ended."},
	{"DetachesUndelivered", "sluice_disconnects_undelivered_total",
		"Clients whose disconnect may not have reached a worker."},

	{"Relayed", "sluice_commands_relayed_total", "Commands passed on to other gateways."},
	{"CommandsDropped", "sluice_commands_dropped_total", "Commands for another gateway that were lost."},
	{"ClaimsResent", "sluice_claims_resent_total", "Exclusive bindings sent again to other gateways."},
	{"StaleTargets", "sluice_stale_targets_total", "Commands for clients that had gone."},
	{"AttrsRejected", "sluice_attrs_rejected_total",
		"Changes of attributes without effect, because the client would have had too many."},
	{"JoinsRejected", "sluice_joins_rejected_total",
		"Joins without effect, because the client is in too many groups."},
	{"QueriesRejected", "sluice_queries_rejected_total",
		"Queries refused because too many waited for other event loops."},
	{"QueriesPartial", "sluice_queries_partial_total",
		"Queries answered in part, because an event loop did not reply in time."},

	{"Invocations", "sluice_invocations_total", "Calls of OnInvoke by workers."},
	{"InvocationsRejected", "sluice_invocations_rejected_total",
		"Calls of OnInvoke refused because too many were running, or there is none."},
	{"InvocationErrors", "sluice_invocation_errors_total", "Calls of OnInvoke that failed."},
	{"InvocationTimeouts", "sluice_invocation_timeouts_total", "Calls of OnInvoke that took too long."},
	{"Reports", "sluice_reports_total", "Reports of workers about their calls that were kept."},
	{"ReportsRejected", "sluice_reports_rejected_total",
		"Reports refused because too many were being kept, or nothing keeps them. They come again."},
	{"ReportErrors", "sluice_report_errors_total", "Reports that could not be kept. They come again."},

	{"HandshakesRejected", "sluice_handshakes_rejected_total",
		"Handshakes and pages refused, and clients that came during a drain or an overload."},
	{"HandshakeTimeouts", "sluice_handshake_timeouts_total", "Handshakes that took too long."},
	{"OriginsRejected", "sluice_origins_rejected_total",
		"WebSockets and pages refused because of a foreign origin or host. Part of the handshakes " +
			"rejected."},
	{"RequestsTooLarge", "sluice_requests_too_large_total",
		"WebSockets refused because their request is too large. Part of the handshakes rejected."},
	{"LoadShed", "sluice_load_shed_total",
		"Clients refused because the event loop was overloaded. Part of the handshakes rejected."},
	{"SlotsExhausted", "sluice_slots_exhausted_total",
		"Connections closed because the event loop had 16,777,216 clients."},
	{"UpgradesPending", "sluice_upgrades_pending", "WebSockets whose OnUpgrade has not returned."},
	{"UpgradesQueued", "sluice_upgrades_queued_total",
		"Times that a WebSocket waited because 256 calls of OnUpgrade were running."},
	{"UpgradesRejected", "sluice_upgrades_rejected_total",
		"WebSockets refused by OnUpgrade. Part of the handshakes rejected."},
	{"Expired", "sluice_identities_expired_total", "Clients closed because their token or identity expired."},
	{"Refreshed", "sluice_identities_refreshed_total", "New tokens of clients that were accepted."},
	{"RefreshesRejected", "sluice_identities_rejected_total",
		"New tokens of clients that were not accepted. The clients stay until they expire."},
	{"ForwardedIgnored", "sluice_forwarded_ignored_total",
		"Requests that named a client's address and were not from a trusted proxy."},
	{"ForwardedInvalid", "sluice_forwarded_invalid_total",
		"Requests in which a trusted proxy named something else than an address."},
	{"UpgradeErrors", "sluice_upgrade_errors_total",
		"WebSockets refused because OnUpgrade failed. Part of the handshakes rejected."},
	{"UpgradeTimeouts", "sluice_upgrade_timeouts_total",
		"WebSockets refused because OnUpgrade took too long. Part of the handshakes rejected."},

	{"TLSConns", "sluice_tls_connections", "Connections with TLS, of clients, workers and other gateways."},
	{"TLSErrors", "sluice_tls_errors_total", "Connections closed because the peer violated the TLS protocol."},
	{"FirstMessageTimeouts", "sluice_first_message_timeouts_total",
		"Clients closed because their first message did not come in time."},
	{"MessageTimeouts", "sluice_message_timeouts_total",
		"Clients closed because a message was not complete in time."},
	{"PartialBytes", "sluice_partial_message_bytes", "Size of what is held of incomplete messages."},
	{"PartialEvictions", "sluice_partial_message_evictions_total",
		"Clients closed because too much was held of incomplete messages."},
	{"CloseTimeouts", "sluice_close_timeouts_total", "WebSockets that did not answer a close frame in time."},
	{"HalfClosed", "sluice_half_closes_total", "Clients that closed their side while they waited for answers."},
	{"HalfClosesUnanswered", "sluice_half_closes_unanswered_total",
		"Clients closed before all their messages were answered, after they had closed their side or " +
			"violated their protocol."},
	{"PeerErrors", "sluice_peer_errors_total", "WebSockets that the client closed because of what it was sent."},
	{"EncodeErrors", "sluice_encode_errors_total", "Messages that the client's format cannot carry."},
	{"InvalidTexts", "sluice_invalid_texts_total", "Texts from workers that were not valid UTF-8."},

	{"SlowConns", "sluice_slow_connections", "Connections, links included, whose socket accepts no more data."},
	{"BufferedBytes", "sluice_buffered_bytes", "Output that waits for slow clients."},
	{"Overloaded", "sluice_overloaded",
		"1 while the event loop accepts no clients because too much output waits."},
	{"OverloadEvents", "sluice_overloads_total", "Times that the event loop became overloaded."},
	{"DroppedOldest", "sluice_messages_dropped_oldest_total", "Messages dropped to make space for newer ones."},
	{"DroppedNewest", "sluice_messages_dropped_newest_total", "Messages dropped because they did not fit."},
	{"Conflated", "sluice_messages_conflated_total", "Messages replaced by a newer one with the same key."},
	{"SlowConsumerCloses", "sluice_slow_consumer_closes_total", "Clients closed because a message did not fit."},
	{"WriteTimeoutCloses", "sluice_write_timeout_closes_total",
		"Clients closed because they read nothing for the write timeout."},
	{"MemoryLimitCloses", "sluice_memory_limit_closes_total",
		"Clients closed because the output of all clients reached its limit."},
	{"LinkOverflows", "sluice_link_overflows_total", "Links closed because the worker did not read."},

	{"Pages", "sluice_pages_total", "Plain HTTP requests passed to the page's handler."},
	{"PagesRejected", "sluice_pages_rejected_total",
		"Plain HTTP requests refused because 64 were running. Part of the handshakes rejected."},
	{"PageErrors", "sluice_page_errors_total", "Plain HTTP requests answered with status 500."},
	{"PageTimeouts", "sluice_page_timeouts_total", "Plain HTTP requests whose handler did not return in time."},
	{"Probes", "sluice_probes_total",
		"Probes that a listener has answered. Those of the admin listener are not included."},

	{"TakeoverBytes", "sluice_takeover_bytes", "Memory reserved for clients with context takeover."},
	{"TakeoversRejected", "sluice_takeovers_rejected_total",
		"WebSockets opened without context takeover, because the limit was reached."},
	{"MailboxRejects", "sluice_mailbox_rejects_total",
		"Functions refused because the mailbox of the event loop was full."},
	{"Panics", "sluice_panics_total", "Panics in callbacks of the event loop."},
}

// listenerFigures are the metrics of each listener. They have the label listener, its URL.
var listenerFigures = []figure{
	{"Conns", "sluice_listener_connections", "Open connections."},
	{"Accepted", "sluice_listener_accepted_total", "Connections handed to an event loop."},
	{"OverMaxConns", "sluice_listener_over_max_conns_total", "Connections refused because of --max-conns."},
	{"OverMaxPerIP", "sluice_listener_over_max_per_ip_total", "Connections refused because of --max-per-ip."},
	{"OverRate", "sluice_listener_over_connect_rate_total", "Connections refused because of --connect-rate."},
	{"Refused", "sluice_listener_refused_total", "Connections that the listener did not take."},
	{"Failed", "sluice_listener_failed_total", "Connections that could not be registered with an event loop."},
	{"Backoffs", "sluice_listener_backoffs_total", "Waits because file descriptors or memory ran out."},
	{"ProxyHeaders", "sluice_listener_proxy_headers_total", "PROXY headers of trusted proxies."},
	{"ProxyHeadersInvalid", "sluice_listener_proxy_headers_invalid_total",
		"Connections of trusted proxies closed because of an invalid or missing PROXY header."},
	{"ProxyHeadersIgnored", "sluice_listener_proxy_headers_ignored_total",
		"PROXY headers of others, which were skipped."},
	{"ProxiesUntrusted", "sluice_listener_proxies_untrusted_total",
		"Connections of others refused because of ?proxy=required."},
	{"TLS.Handshaking", "sluice_listener_tls_handshaking", "TLS handshakes in progress."},
	{"TLS.Completed", "sluice_listener_tls_completed_total", "TLS handshakes that were completed."},
	{"TLS.Resumed", "sluice_listener_tls_resumed_total",
		"TLS handshakes that continued an older session. Part of those completed."},
	{"TLS.Failed", "sluice_listener_tls_failed_total", "TLS handshakes that failed because of the peer."},
	{"TLS.TimedOut", "sluice_listener_tls_timed_out_total", "TLS handshakes that took too long."},
	{"TLS.Evicted", "sluice_listener_tls_evicted_total", "TLS handshakes ended because there were too many."},
	{"TLS.OverRate", "sluice_listener_tls_over_rate_total", "Connections refused because of --tls-handshake-rate."},
}

// single are the other metrics: what the columns of a figure say, and the labels.
type single struct {
	name, kind, help string
	labels           []string
}

// singles are the metrics that are no field of a loop or a listener.
var singles = []single{
	{"sluice_build_info", "gauge", "1. The labels say what runs.", []string{"version", "goversion"}},
	{"sluice_ready", "gauge", "1 if /readyz answers 200.", nil},
	{"sluice_draining", "gauge", "1 while the gateway drains.", nil},
	{"sluice_loops", "gauge", "Event loops.", nil},
	{"sluice_workers", "gauge", "Connected workers. state is active or draining.", []string{"state"}},
	{"sluice_worker_clients", "gauge", "Clients of the workers with a name.", []string{"worker"}},
	{"sluice_worker_links", "gauge", "Links of the workers with a name.", []string{"worker"}},
	{"sluice_worker_unacked_bytes", "gauge",
		"What was sent to the workers with a name, and they have not acknowledged.", []string{"worker"}},
	{"sluice_worker_output_bytes", "gauge",
		"What waits to be sent to the workers with a name.", []string{"worker"}},
	{"sluice_worker_auth_failures_total", "counter", "Peers refused on the port for workers.", nil},
	{"sluice_upgrades_rejected_by_reason_total", "counter",
		"WebSockets and new tokens refused, by reason.", []string{"loop", "reason"}},
	{"sluice_connections_closed_total", "counter",
		"Connections that have ended, of clients or not.", []string{"loop", "reason"}},
	{"sluice_message_duration_seconds", "histogram", "Time from reading a message until its worker has handled it and " +
		"the answers are written. A sample: one of 64 messages, and one at a time of each event loop.", nil},
	{"sluice_message_handling_seconds", "histogram", "The same without messages that waited for a worker or its " +
		"credit: the time of links and handlers.", nil},
	{"sluice_admin_auth_failures_total", "counter", "Requests to the admin listener without a valid token.", nil},
	{"sluice_admin_scope_failures_total", "counter", "Requests that their token does not allow.", nil},
	{"sluice_admin_published_total", "counter",
		"Messages of POST /api/v1/publish that were sent.", nil},
	{"sluice_admin_publish_failures_total", "counter",
		"The same that were not: an error of the message, or its target.", nil},
	{"sluice_admin_publish_rate_limited_total", "counter",
		"Messages of requests beyond the publish rate of their token.", nil},
	{"sluice_admin_publish_replays_total", "counter",
		"Requests with a known idempotency key, which sent nothing.", nil},
	{"sluice_admin_publish_keys_forgotten_total", "counter",
		"Idempotency keys forgotten within an hour, for lack of room.", nil},
	{"sluice_admin_sessions", "gauge", "Sessions of the dashboard.", nil},
	{"sluice_admin_sessions_evicted_total", "counter",
		"Sessions of the dashboard that have ended because there were too many.", nil},
}
