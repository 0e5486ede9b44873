package link

import "strconv"

var typeNames = [...]string{
	Attach: "ATTACH", Message: "MESSAGE", Detach: "DETACH", Attrs: "ATTRS", Reply: "REPLY",
	Authenticate: "AUTHENTICATE", Authenticates: "AUTHENTICATES", Identity: "IDENTITY", Report: "REPORT",
	Unit: "UNIT", Blocked: "BLOCKED", Relay: "RELAY", Peers: "PEERS",
	Send: "SEND", Kick: "KICK", Bind: "BIND", Unbind: "UNBIND", Join: "JOIN", Leave: "LEAVE", Set: "SET",
	Publish: "PUBLISH", Dissolve: "DISSOLVE", Evict: "EVICT", Count: "COUNT", Select: "SELECT", Invoke: "INVOKE",
	Ping: "PING", Pong: "PONG", Drain: "DRAIN", GoAway: "GOAWAY", Confirm: "CONFIRM",
	Locate: "LOCATE", Ask: "ASK", Permit: "PERMIT", Forget: "FORGET", Forgotten: "FORGOTTEN",
}

// String returns the name of the type in SPEC.md.
func (t Type) String() string {
	if int(t) < len(typeNames) && typeNames[t] != "" {
		return typeNames[t]
	}
	return "type " + strconv.Itoa(int(t))
}

var statusNames = [...]string{
	"ok", "gone", "refused", "conflict", "bad request", "timeout", "protocol", "draining", "replaced",
	"no heartbeat", "failed",
}

// String returns the name of the status in SPEC.md.
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return "status " + strconv.Itoa(int(s))
}

var reasonNames = [...]string{
	"none", "peer", "kicked", "idle", "slow consumer", "protocol", "too big", "limit", "handshake", "draining",
	"replaced", "no worker", "network", "internal", "refused", "expired",
}

// String returns the name of the reason in SPEC.md.
func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return "reason " + strconv.Itoa(int(r))
}

var causeNames = [...]string{"connect", "died", "drained", "moved", "link lost"}

// String returns the name of the cause in SPEC.md.
func (c Cause) String() string {
	if int(c) < len(causeNames) {
		return causeNames[c]
	}
	return "cause " + strconv.Itoa(int(c))
}
