package admin

// narrowFigures are the metrics of narrow sends of each event loop.
var narrowFigures = []figure{
	{"SendsNarrowed", "sluice_sends_narrowed_total", "Messages to groups or uids that left out gateways."},
	{"GatewaysSpared", "sluice_gateways_spared_total", "Gateways that these messages left out."},
	{"SendsWidenedUnknown", "sluice_sends_widened_unknown_total",
		"Messages that went to all gateways because the holders of the group or uid were not known yet."},
	{"SendsWidenedUnavailable", "sluice_sends_widened_unavailable_total",
		"Messages that went to all gateways because the directory does not answer."},
	{"SendsWidenedJoining", "sluice_sends_widened_joining_total",
		"Messages that went to all gateways because a join was on its way to another one."},
	{"SendsWidenedDoubt", "sluice_sends_widened_doubt_total",
		"Messages that also went to gateways which do not permit to be left out."},
	{"SetsLocated", "sluice_sets_located_total", "Groups and uids that the directory was asked for."},
	{"SetsForgotten", "sluice_sets_forgotten_total", "Groups and uids that were forgotten to make room for others."},
	{"SetsKnown", "sluice_sets_known", "Groups and uids of which the event loop knows the holders."},
	{"UnitsParked", "sluice_units_parked_total",
		"Times that the effects of a client's calls waited until a join was visible to all gateways, " +
			"or until the holders of a group or uid were known."},
	{"LookupTimeouts", "sluice_lookup_timeouts_total",
		"Times that they did not wait any longer for the holders, because the directory is slow."},
	{"ParkedBytes", "sluice_parked_bytes", "Size of the effects that wait for that."},
}

// arbiterFigures are the metrics of exclusive bindings that are compared in the directory.
var arbiterFigures = []figure{
	{"GatewaysUnreachable", "sluice_gateways_unreachable",
		"Gateways that are in the directory, and to which an event loop has no link."},
	{"ClaimsCompared", "sluice_claims_compared_total", "Exclusive bindings that were looked up in the directory."},
	{"ClaimsPosted", "sluice_claims_posted_total",
		"Exclusive bindings that were left in the directory for a gateway that cannot be reached."},
	{"ClaimsFetched", "sluice_claims_fetched_total",
		"Exclusive bindings that others have left in the directory for this gateway."},
	{"ClaimsWaiting", "sluice_claims_waiting", "Exclusive bindings that wait to be looked up."},
}

// interestFigures are the metrics of what the gateway has in the directory.
var interestFigures = []figure{
	{"SetsHeld", "sluice_sets_held", "Groups and uids with members at the gateway."},
	{"SetEntries", "sluice_set_entries_total", "Entries of the gateway in the directory, and their renewals."},
	{"SetInformings", "sluice_set_informings_total", "Entries of which other gateways or workers had to be told."},
	{"Doubts", "sluice_doubts_total", "Times that the gateway has withdrawn all permits to leave it out."},
	{"InDoubt", "sluice_in_doubt", "1 while no sender may leave the gateway out, because the directory fails."},
}
