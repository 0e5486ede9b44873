package certs

import (
	"context"
	"os"
	"slices"
	"time"
)

// PollInterval is how often Watch looks at the files.
const PollInterval = 5 * time.Second

// file is one version of a file. A file that cannot be looked at has a nil info.
type file struct{ info os.FileInfo }

func (f file) same(other file) bool {
	if f.info == nil || other.info == nil {
		return f.info == nil && other.info == nil
	}
	return os.SameFile(f.info, other.info) && f.info.ModTime().Equal(other.info.ModTime()) &&
		f.info.Size() == other.info.Size()
}

// Watch calls Poll every PollInterval until ctx ends. It works for files that are written in place,
// replaced by a rename, or reached by a symbolic link that changes, on any file system.
func (s *Source) Watch(ctx context.Context) {
	tick := time.NewTicker(PollInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.Poll()
		}
	}
}

// Poll looks at the files once. It reloads them when they have changed since they were read last,
// and not since the previous Poll: the programs that write them have then finished. It reports
// whether it has tried to reload them. Files that could not be used are not tried again until they
// change.
func (s *Source) Poll() (tried bool) {
	if !s.changed() {
		return false
	}
	_ = s.Reload() // it is logged
	return true
}

// changed reports whether the files differ from those read last, and not from those at the previous
// call.
func (s *Source) changed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.options.stat()
	switch {
	case slices.EqualFunc(now, s.seen, file.same):
		s.pending = nil
		return false
	case s.pending == nil || !slices.EqualFunc(now, s.pending, file.same):
		s.pending = now
		return false
	}
	return true
}

// stat looks at all files, in a fixed order.
func (o *Options) stat() (files []file) {
	look := func(path string) {
		if path != "" {
			info, _ := os.Stat(path)
			files = append(files, file{info})
		}
	}
	for _, p := range o.Pairs {
		look(p.Cert)
		look(p.Key)
	}
	look(o.TicketKeys)
	look(o.CA)
	return files
}
