package soak

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed-7410fe32/sluice/bench"
)

// Sizes of messages, in bytes. Broadcasts reach the clients of all loads, who know them by their size.
const (
	echoSize      = 128
	roomSize      = 400        // so that it is compressed, also for a window of 9 bits
	broadcastSize = 8 << 10    // so that it is not, for the smaller windows
	bigSize       = 1<<20 - 64 // some KiB where it is compressed
)

// roomMembers is coprime to the number of formats, so that rooms begin with each of them in turn: the first one sends.
const roomMembers = 10

// slowReaders of each gateway read nothing, or a little, of the broadcasts.
const slowReaders = 4

// codecs are those that the gateways need listeners for.
func (o *Options) codecs() (all []bench.Codec) {
	for _, f := range o.Formats {
		if !slices.Contains(all, f.Codec) {
			all = append(all, f.Codec)
		}
	}
	return all
}

// loads are what runs side by side, each with clients of all formats: some that have each message echoed, a few whose messages are big, rooms, broadcasts to everybody, and
// clients that come, say a word and go.
func (o *Options) loads() []bench.Options {
	const warmup = time.Second
	base := bench.Options{Warmup: warmup, Window: max(o.Round-warmup, time.Second), Drain: 20 * time.Second, Overheard: broadcastSize}
	load := func(label string, mode bench.Mode, conns int, rate float64, size int) bench.Options {
		l := base
		rate = max(rate, 1/l.Window.Seconds()) // one at least is due
		l.Label, l.Mode, l.Conns, l.Rate, l.Size, l.Mix = label, mode, max(conns, len(o.Formats)), rate, size, slices.Clone(o.Formats)
		return l
	}
	n := float64(len(o.Formats))
	echo := load("echo", bench.Echo, o.Conns/2, o.Rate*3/4, echoSize)
	big := load("big", bench.Echo, 0, n/4, bigSize)
	rooms := load("rooms", bench.Rooms, o.Conns*3/10, o.Rate/4/roomMembers, roomSize)
	rooms.RoomSize = roomMembers
	broadcast := load("broadcast", bench.Broadcast, o.Conns/5, o.Rate/40, broadcastSize)
	broadcast.Senders, broadcast.SlowReaders, broadcast.SlowMixed, broadcast.Overheard = len(o.Formats), slowReaders, true, 0
	visits := load("visits", bench.Connect, 0, o.Rate/40, echoSize)
	return []bench.Options{echo, big, rooms, broadcast, visits}
}

// setup is what the loads come to.
func (o *Options) setup() setup {
	s := setup{clients: slowReaders, sender: broadcastSize, formats: len(o.Formats), workers: o.Workers}
	for _, l := range o.loads() {
		s.clients += l.Conns
		switch {
		case l.Size == bigSize:
			s.big += l.Conns
		case l.Mode == bench.Echo:
			s.senders += l.Conns
		case l.Mode == bench.Rooms:
			s.senders += (l.Conns + l.RoomSize - 1) / l.RoomSize
		case l.Mode == bench.Broadcast:
			s.senders += l.Senders
		}
	}
	return s
}

// round makes load for a while and gives an account of it.
func (s *soak) round(ctx context.Context) error {
	before := s.fleet.usages()
	loads := s.o.loads()
	reports := make([]*bench.Report, len(loads))
	var all errgroup.Group
	for i, l := range loads {
		for j := range l.Mix {
			f := &l.Mix[j]
			f.Targets = s.fleet.targets[f.Codec]
		}
		all.Go(func() (err error) {
			reports[i], err = bench.Run(ctx, l, nil)
			return err
		})
	}
	if err := all.Wait(); err != nil {
		return err
	}
	state := s.settled(ctx, before)
	r := round{time.Since(s.began), reports, state, s.fleet.peaks()}
	s.rounds = append(s.rounds, r)
	s.print(r)
	return nil
}
