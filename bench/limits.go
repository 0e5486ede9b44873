package bench

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/seed-7410fe32/sluice/internal/procfs"
	"github.com/seed-7410fe32/sluice/internal/valid"
)

// check returns an error for options that are out of bounds or contradict each other.
func (o *Options) check() error {
	switch {
	case !slices.Contains(Modes, o.Mode):
		return bad("mode %q: must be one of %v", o.Mode, Modes)
	case !slices.Contains(Codecs, o.Codec) && len(o.Mix) == 0:
		return bad("codec %q: must be one of %v", o.Codec, Codecs)
	}
	if field, err := valid.Numbers(o); err != nil {
		return bad("%s: %v", field, err)
	}
	for _, s := range o.Settings() {
		if err := s.check(o.Mode); err != nil {
			return err
		}
	}
	for _, f := range o.Mix {
		if err := f.check(); err != nil {
			return bad("%v", err)
		}
	}
	if _, err := newPlan(o); err != nil {
		return bad("%v", err)
	}
	return cmp.Or(o.checkTogether(), o.checkInFlight(), o.checkPIDs())
}

func (o *Options) checkTogether() error {
	n, err := strconv.Atoi(o.Servers.Reactors)
	switch e := o.Envelope; {
	case o.Servers.Reactors != autoReactors && (err != nil || n < 1 || n > maxLoops):
		return bad("reactors: %q: must be %s or between 1 and %d", o.Servers.Reactors, autoReactors, maxLoops)
	case e != nil && (len(o.Mix) > 0 || o.SlowReaders > 0 || len(o.Targets) == 0):
		return bad("a login and messages of your own need a target, and exclude slow readers and mixed formats")
	case e.wraps() && o.Mode.named():
		return bad("mode %s excludes messages of your own: its clients have names", o.Mode)
	case o.Processes > o.groups():
		return bad("%d processes are too many for %d connections", o.Processes, o.Conns)
	case o.Rate > 0 && o.Rate*o.Window.Seconds() < 1:
		return bad("at %g %s a second none is due in %v", o.Rate, o.Mode.offered(), o.Window)
	}
	return nil
}

// checkInFlight refuses a closed loop with more in flight than fits into memory.
func (o *Options) checkInFlight() error {
	if o.Rate > 0 || o.Mode == Idle || o.Mode == Chat {
		return nil
	}
	n := uint64(o.InFlight)
	switch o.Mode {
	case Connect:
		n = 1
	case Churn:
		n = min(n, uint64(o.PerConn))
	}
	each := n * uint64(o.Size)
	if each > maxQueued {
		return bad("%d messages of %d bytes in flight are more than the %d MiB that a connection may queue",
			n, o.Size, maxQueued>>20)
	}
	senders := o.senders()
	if all, memory := each*uint64(senders), machine().Memory; memory > 0 && all > memory {
		return bad("%d senders with %d messages of %d bytes in flight need %d MiB, and this machine has %d",
			senders, n, o.Size, all>>20, memory>>20)
	}
	return nil
}

// checkPIDs refuses processes that do not exist or have no name of their own.
func (o *Options) checkPIDs() error {
	names, pids := map[string]bool{generatorName: true}, make(map[int]string)
	if len(o.Targets) == 0 {
		for _, name := range slices.Concat(numbered("gateway", o.Servers.Gateways), numbered("worker", o.Servers.Workers)) {
			names[name] = true
		}
	}
	for _, p := range o.PIDs {
		switch {
		case p.PID < 1 || !procfs.Exists(p.PID):
			return bad("there is no process %d, named %s", p.PID, p.Name)
		case strings.TrimSpace(p.Name) == "":
			return bad("process %d: the name must not be empty", p.PID)
		case names[p.Name]:
			return bad("two processes have the name %s", p.Name)
		case pids[p.PID] != "":
			return bad("process %d has two names, %s and %s", p.PID, pids[p.PID], p.Name)
		}
		names[p.Name], pids[p.PID] = true, p.Name
	}
	return nil
}

const (
	spareDescriptors = 256    // of a generator process, not used for connections
	portsPerSource   = 25_000 // of the 28,232 that Linux has by default
)

// reach sets the processes and local addresses that the connections need.
func (o *Options) reach() error {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	room := int(min(limit.Cur, maxStreams))
	room = max(room-spareDescriptors, room/2)
	o.Processes = cmp.Or(o.Processes, (o.Conns+o.SlowReaders+room-1)/room)
	here := o.SlowReaders // of this process
	for i := range o.Processes {
		n := int(o.border(i+1) - o.border(i))
		if o.Processes == 1 {
			here += n
		}
		if max(n, here) > room {
			return bad("%d connections and %d slow readers need more than %d processes of %d descriptors",
				o.Conns, o.SlowReaders, o.Processes, limit.Cur)
		}
	}
	if n := o.Servers.Gateways; len(o.Targets) == 0 && !o.shortLived() {
		most := int(limit.Cur - limit.Cur/16) // a gateway keeps a sixteenth for workers
		if need := (o.Conns+o.SlowReaders-1)/most + 1; need > n {
			return bad("a gateway of %d descriptors takes %d of %d connections: start %d gateways",
				limit.Cur, most, o.Conns, need)
		}
	}
	addrs, err := dialAddrs(o)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	loopback := func(addr string) bool { return ipOf(addr).Is4() && ipOf(addr).IsLoopback() }
	if slices.ContainsFunc(addrs, func(addr string) bool { return !loopback(addr) }) {
		return nil // this process cannot know which source addresses can be used
	}
	servers := len(addrs)
	if len(o.Targets) == 0 {
		servers = o.Servers.Gateways
	}
	if n := (o.Conns-1)/(portsPerSource*servers) + 1; n > 1 && len(o.Sources) == 0 {
		for i := range n {
			o.Sources = append(o.Sources, fmt.Sprintf("127.0.%d.%d", i/250, i%250+1))
		}
	}
	return nil
}
