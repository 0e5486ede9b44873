package gateway_test

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// command makes the frame of a command:
//
//	send|raw CLIENT TEXT | last CLIENT TEXT | kick|closenow CLIENT | refuse CLIENT [CODE TEXT]
//	bind|exclusive CLIENT UID [of=VERSION] | unbind CLIENT [of=VERSION] | join|leave CLIENT GROUP
//	set|merge CLIENT [of=VERSION] [attr=value...]
//	                              VERSION is the one that the worker has changed, 0 by default
//	compare CLIENT VERSION [attr=value...]
//	unowned BIND|UNBIND|SET       from a worker that has not changed its copy
//	publish all|groups|uids|clients TARGET,... [except CLIENT,...] TEXT
//	                              the target of all is *
//	relay COMMAND                 to gateway 9, which no worker lists
//	one N PUBLISH                 for loop N only
//	dissolve GROUP | evict | count all|groups|uids|clients [KEY,...]
func (p scenarioWorker) command(text string) *link.Frame {
	p.Helper()
	verb, rest, _ := strings.Cut(text, " ")
	switch verb {
	case "unowned":
		f := p.command(rest)
		f.Flags &^= link.FlagOwn
		return f
	case "relay":
		return &link.Frame{Type: link.Relay, Slot: 9, Payload: link.Append(nil, p.command(rest))}
	case "one":
		loop, rest, _ := strings.Cut(rest, " ")
		f := p.command(rest)
		n, _ := strconv.Atoi(loop)
		f.Slot = uint32(n + 1)
		return f
	case "publish":
		return p.publish(rest)
	case "dissolve":
		return &link.Frame{Type: link.Dissolve, Payload: []byte(rest)}
	case "evict":
		return &link.Frame{Type: link.Evict, Payload: link.AppendEvict(nil, "ann", link.Claim{})}
	case "count":
		target, keys, _ := strings.Cut(rest, " ")
		return &link.Frame{Type: link.Count, Code: targetOf(target), Payload: p.appendTargets(nil, target, keys)}
	}
	name, rest, _ := strings.Cut(rest, " ")
	id := p.clientID(name)
	f := &link.Frame{Flags: link.FlagOwn, Code: uint16(id.Loop()), Slot: id.Slot(), Token: id.Token(),
		Payload: []byte(repeated(rest))}
	switch verb {
	case "send":
		f.Type, f.Flags = link.Send, link.FlagText
	case "raw":
		f.Type, f.Flags = link.Send, link.FlagRaw
	case "last":
		f.Type, f.Flags = link.Kick, link.FlagText|link.FlagLast
	case "kick":
		f.Type, f.Flags = link.Kick, 0
	case "closenow":
		f.Type, f.Flags = link.Kick, link.FlagNow
	case "refuse":
		f.Type, f.Flags = link.Kick, link.FlagRefused
		if code, text, ok := strings.Cut(rest, " "); ok {
			n, _ := strconv.Atoi(code)
			f.Payload = append(binary.BigEndian.AppendUint16(nil, uint16(n)), text...)
		}
	case "bind":
		f.Type, f.Payload = link.Bind, uidOf(rest)
	case "exclusive":
		f.Type, f.Flags, f.Payload = link.Bind, link.FlagExclusive|link.FlagOwn, uidOf(rest)
	case "unbind":
		f.Type, f.Payload = link.Unbind, uidOf(rest)
	case "join":
		f.Type, f.Flags = link.Join, 0
	case "leave":
		f.Type, f.Flags = link.Leave, 0
	case "set":
		f.Type, f.Payload = link.Set, attributes(versioned(rest))
	case "merge":
		f.Type, f.Flags, f.Payload = link.Set, link.FlagMerge|link.FlagOwn, attributes(versioned(rest))
	case "compare":
		f.Type, f.Flags, f.Payload = link.Set, link.FlagCompare, attributes(rest)
	default:
		p.fail("unknown command")
	}
	return f
}

// versioned puts the version of "[of=VERSION] REST" in front of the rest.
func versioned(text string) string {
	if rest, ok := strings.CutPrefix(text, "of="); ok {
		return rest
	}
	return "0 " + text
}

// uidOf makes the payload of a Bind or Unbind: [UID] [of=VERSION].
func uidOf(text string) []byte {
	uid, of, _ := strings.Cut(text, "of=")
	version, _ := strconv.Atoi(of)
	return append(binary.BigEndian.AppendUint32(nil, uint32(version)), repeated(strings.TrimSpace(uid))...)
}

// attributes makes the payload of a Set: VERSION [attr=value...].
func attributes(text string) []byte {
	words := strings.Fields(text)
	version, _ := strconv.Atoi(words[0])
	var attrs []link.Attribute
	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, "=")
		attrs = append(attrs, link.Attribute{Key: key, Value: repeated(value)})
	}
	return link.AppendAttributes(binary.BigEndian.AppendUint32(nil, uint32(version)), attrs)
}

func (p scenarioWorker) publish(rest string) *link.Frame {
	p.Helper()
	target, rest, _ := strings.Cut(rest, " ")
	f := &link.Frame{Type: link.Publish, Flags: link.FlagText, Code: targetOf(target)}
	keys, rest, _ := strings.Cut(rest, " ")
	f.Payload = p.appendTargets(nil, target, keys)
	var except []link.ClientID
	if names, ok := strings.CutPrefix(rest, "except "); ok {
		names, rest, _ = strings.Cut(names, " ")
		for name := range strings.SplitSeq(names, ",") {
			except = append(except, p.clientID(name))
		}
	}
	f.Payload = append(link.AppendIDs(f.Payload, except), repeated(rest)...)
	return f
}

func targetOf(word string) uint16 {
	switch word {
	case "groups":
		return link.TargetGroups
	case "uids":
		return link.TargetUIDs
	case "clients":
		return link.TargetClients
	}
	return link.TargetAll
}

// appendTargets appends a list of keys. Clients are named as in the scenario.
func (p scenarioWorker) appendTargets(b []byte, target, keys string) []byte {
	p.Helper()
	var list []string
	if target != "all" {
		list = strings.Split(keys, ",")
	}
	if target == "clients" {
		for i, name := range list {
			id := p.clientID(name)
			list[i] = string(id[:])
		}
	}
	return link.AppendList(b, list)
}
