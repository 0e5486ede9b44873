package soak

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed-7410fe32/sluice/bench"
)

// Sizes of messages, in bytes. Broadcasts reach the clients of all
// loads, which know them by their size.
const (
	echoSize      = 128
	roomSize      = 400        // compressed, also with a window of 9 bits
	broadcastSize = 8 << 10    // not compressed with the smaller windows
	bigSize       = 1<<20 - 64 // some KiB where it is compressed
)

// roomMembers is coprime to the number of formats, so that the first member of a room,
// which sends, has each format in turn.
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

// loads run side by side, each with clients of all formats: echoes of small and of big messages,
// rooms, broadcasts, and clients that connect, send one message and disconnect.
func (o *Options) loads() []bench.Options {
	const warmup = time.Second
	window := max(o.Round-warmup, time.Second)
	load := func(label string, mode bench.Mode, conns int, rate float64, size int) bench.Options {
		return bench.Options{
			Label: label, Mode: mode, Conns: max(conns, len(o.Formats)), Size: size, Mix: slices.Clone(o.Formats),
			Rate:   max(rate, 1/window.Seconds()), // at least one message is due
			Warmup: warmup, Window: window, Drain: 20 * time.Second, Overheard: broadcastSize,
		}
	}
	n := float64(len(o.Formats))
	echo := load("echo", bench.Echo, o.Conns/2, o.Rate*3/4, echoSize)
	big := load("big", bench.Echo, 0, n/4, bigSize)
	rooms := load("rooms", bench.Rooms, o.Conns*3/10, o.Rate/4/roomMembers, roomSize)
	rooms.RoomSize = roomMembers
	broadcast := load("broadcast", bench.Broadcast, o.Conns/5, o.Rate/40, broadcastSize)
	broadcast.Senders, broadcast.SlowReaders, broadcast.SlowMixed = len(o.Formats), slowReaders, true
	broadcast.Overheard = 0
	visits := load("visits", bench.Connect, 0, o.Rate/40, echoSize)
	return []bench.Options{echo, big, rooms, broadcast, visits}
}

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

// round makes load for a while and prints its result.
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
	usages := s.settled(ctx, before)
	r := round{time.Since(s.began), reports, usages, s.fleet.peaks()}
	s.rounds = append(s.rounds, r)
	s.print(r)
	return nil
}
