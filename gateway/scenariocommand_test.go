package gateway_test

import (
	"encoding/binary"
	"strconv"
	"strings"

	"sluice/internal/link"
)

// command makes the frame of a command:
//
//	send|raw CLIENT TEXT · last CLIENT TEXT · kick|destroy|refuse CLIENT
//	bind|exclusive CLIENT UID · unbind CLIENT · join|leave CLIENT GROUP
//	set|merge CLIENT [attr=value…] · compare CLIENT VERSION [attr=value…]
//	unowned BIND, UNBIND or SET of these: of a worker that has not changed its copy
//	publish all|groups|uids|clients TARGET,… [except CLIENT,…] TEXT     the target of all is *
//	once EVENT INDEX COMMAND      of a call for a client of another gateway, always the same one
//	dissolve GROUP · evict UID except CLIENT · count all|groups|uids|clients [KEY,…]
func (p scenarioWorker) command(text string) *link.Frame {
	p.Helper()
	verb, rest, _ := strings.Cut(text, " ")
	switch verb {
	case "unowned":
		f := p.command(rest)
		f.Flags &^= link.FlagOwn
		return f
	case "once":
		words := strings.SplitN(rest, " ", 3)
		event, _ := strconv.Atoi(words[0])
		index, _ := strconv.Atoi(words[1])
		payload := link.Append([]byte{0, 0, 0, 99}, p.command(words[2]))
		return &link.Frame{Type: link.Once, ID: uint32(event), Code: uint16(index), Slot: 7, Token: 5, Payload: payload}
	case "publish":
		return p.publish(rest)
	case "dissolve":
		return &link.Frame{Type: link.Dissolve, Payload: []byte(rest)}
	case "evict":
		uid, name, _ := strings.Cut(rest, " except ")
		id := p.clientID(name)
		return &link.Frame{Type: link.Evict, Payload: append(link.AppendBytes(nil, uid), id[:]...)}
	case "count":
		target, keys, _ := strings.Cut(rest, " ")
		return &link.Frame{Type: link.Count, Code: targetOf(target), Payload: p.appendTargets(nil, target, keys)}
	}
	name, rest, _ := strings.Cut(rest, " ")
	id := p.clientID(name)
	f := &link.Frame{Flags: link.FlagOwn, Code: uint16(id.Loop()), Slot: id.Slot(), Token: id.Token(), Payload: []byte(repeated(rest))}
	switch verb {
	case "send":
		f.Type, f.Flags = link.Send, link.FlagText
	case "raw":
		f.Type, f.Flags = link.Send, link.FlagRaw
	case "last":
		f.Type, f.Flags = link.Kick, link.FlagText|link.FlagLast
	case "kick":
		f.Type, f.Flags = link.Kick, 0
	case "destroy":
		f.Type, f.Flags = link.Kick, link.FlagNow
	case "refuse":
		f.Type, f.Flags = link.Kick, link.FlagRefused
	case "bind":
		f.Type = link.Bind
	case "exclusive":
		f.Type, f.Flags = link.Bind, link.FlagExclusive|link.FlagOwn
	case "unbind":
		f.Type = link.Unbind
	case "join":
		f.Type, f.Flags = link.Join, 0
	case "leave":
		f.Type, f.Flags = link.Leave, 0
	case "set":
		f.Type, f.Payload = link.Set, attributes("0 "+rest)
	case "merge":
		f.Type, f.Flags, f.Payload = link.Set, link.FlagMerge|link.FlagOwn, attributes("0 "+rest)
	case "compare":
		f.Type, f.Flags, f.Payload = link.Set, link.FlagCompare|link.FlagOwn, attributes(rest)
	default:
		p.fail("unknown command")
	}
	return f
}

// attributes makes the payload of a Set: VERSION [attr=value…].
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

// appendTargets appends a list of keys; clients are named as in the scenario.
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
