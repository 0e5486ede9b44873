package jwtauth

import (
	"context"
	"os"
	"time"
)

// watchEvery is the interval at which Watch looks at the files.
const watchEvery = 5 * time.Second

// Watch reads the files again when they have changed, until ctx ends. It looks at them every 5 s.
// What it did is in the log. A file that is not valid is not used, and the keys stay as they were.
func (a *Authenticator) Watch(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	a.watch(ctx, tick.C)
}

func (a *Authenticator) watch(ctx context.Context, ticks <-chan time.Time) {
	seen := a.first
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks:
		}
		now := a.stamps()
		if now == seen {
			continue
		}
		seen = now
		if err := a.Reload(); err != nil {
			a.cfg.Logger.Error("keys of tokens not read again: the old ones stay", "err", err)
		} else {
			a.cfg.Logger.Info("keys of tokens read again", "keys", len(*a.keys.Load()))
		}
	}
}

// stamp tells versions of a file apart. The zero stamp is a file that is not there.
type stamp struct {
	modified time.Time
	size     int64
}

// stamps returns those of the files. Symbolic links are followed, since secrets of Kubernetes are
// replaced by a link to another file.
func (a *Authenticator) stamps() (all [3]stamp) {
	for i, path := range []string{a.cfg.KeyFile, a.cfg.SecretFile, a.cfg.JWKSFile} {
		if path == "" {
			continue
		}
		if info, err := os.Stat(path); err == nil {
			all[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return all
}
