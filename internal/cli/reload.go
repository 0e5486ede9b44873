package cli

import (
	"context"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed-7410fe32/sluice/gateway"
	"github.com/seed-7410fe32/sluice/internal/config"
	"github.com/seed-7410fe32/sluice/internal/sdnotify"
)

// reloadable is a part of the running process that takes its settings again on SIGHUP.
type reloadable struct {
	flags   []string // its settings
	prepare func(next *options) (apply func() error, err error)
}

// onReload makes settings changeable while the process runs. On SIGHUP prepare gets the options of
// the new configuration, which have been checked. It reads and checks what they name, files for
// example, and returns a function that puts them into effect. prepare is called whether the
// settings have changed or not, because a file may have. If one prepare fails, nothing is put into
// effect. Both are called on one goroutine. onReload must be called before followHangUps.
func onReload(o *options, prepare func(next *options) (apply func() error, err error), flags ...string) {
	o.reloads = append(o.reloads, reloadable{flags, prepare})
}

// reloader puts new configurations into effect. Owned by the goroutine of followHangUps.
type reloader struct {
	o      *options
	c      *cobra.Command
	values map[string]string // of the settings in effect, by flag; bound: none, of the flags
	items  []config.Item     // of the settings in effect; bound: none, static
}

// followHangUps starts to follow SIGHUP until ctx ends: it reads the configuration again and, if
// that is right, sends to the channel that it returns. Those who do not need that may ignore it.
func followHangUps(ctx context.Context, o *options, c *cobra.Command) (reloaded <-chan struct{}) {
	reloadLog(o)
	if u := o.tokens.inUse; u != nil {
		u.watch(ctx)
	}
	out := make(chan struct{}, 1)
	r := &reloader{o: o, c: c, values: values(c.Flags()), items: o.config.items}
	go func() {
		for {
			answer := make(chan<- bool, 1)
			select {
			case <-ctx.Done():
				return
			case <-o.reload:
			case answer = <-o.reloadAsked:
			}
			_ = sdnotify.Send(sdnotify.Reloading()) // for information only
			ok := r.reload()
			_ = sdnotify.Send(sdnotify.Ready)
			if ok {
				select {
				case out <- struct{}{}:
				default: // one is enough
				}
			}
			answer <- ok
		}
	}()
	return out
}

// values returns the values of settings.
func values(flags *pflag.FlagSet) map[string]string {
	all := make(map[string]string)
	flags.VisitAll(func(f *pflag.Flag) {
		if config.IsSetting(f) {
			all[f.Name] = f.Value.String()
		}
	})
	return all
}

// reload reads the configuration and puts it into effect as far as that is possible without a
// restart. If something is wrong with it, nothing changes, and reload reports false.
func (r *reloader) reload() bool {
	if r.o.config.o == nil {
		return true // this command has no configuration
	}
	next, flags, problems := r.read()
	var applies []func() error
	for _, part := range r.o.reloads {
		if len(problems) > 0 {
			break
		}
		apply, err := part.prepare(next)
		if err != nil {
			problems = append(problems, next.config.problem(err))
		} else {
			applies = append(applies, apply)
		}
	}
	log := r.o.log
	if r.o.config.path != "" {
		log = log.With("file", r.o.config.path)
	}
	if len(problems) > 0 {
		for _, p := range problems {
			log.Error("wrong setting", "problem", p.Error())
		}
		log.Error("configuration not reloaded, the old one stays", "problems", len(problems))
		return false
	}
	for _, apply := range applies {
		if err := apply(); err != nil {
			log.Error("part of the configuration was not put into effect", "err", err)
		}
	}
	changed, kept := r.compare(next, flags)
	if r.o.config.path != "" {
		log.Info("configuration reloaded", "changed", strings.Join(changed, " "))
	}
	if len(kept) > 0 {
		log.Warn("settings keep their values until a restart", "keys", strings.Join(kept, " "))
	}
	return true
}

// read reads the configuration into the options of a command that is not run.
func (r *reloader) read() (next *options, flags *pflag.FlagSet, problems []config.Problem) {
	c, err := server(command(quiet(), nil), r.c.Name())
	if err != nil {
		return nil, nil, []config.Problem{{Text: err.Error()}}
	}
	next = optionsOf(c)
	given := pflag.NewFlagSet("", pflag.ContinueOnError)
	r.c.Flags().VisitAll(func(f *pflag.Flag) {
		if r.o.config.sources[f.Name].Kind == config.FromFlag {
			given.AddFlag(f)
		}
	})
	given.VisitAll(func(f *pflag.Flag) {
		if err == nil {
			err = copyFlag(f, c.Flags())
		}
	})
	if err != nil {
		return nil, nil, []config.Problem{{Text: err.Error()}}
	}
	next.config.path = r.o.config.path
	problems = next.config.load(c, os.Environ())
	if len(problems) == 0 {
		problems = next.config.check(c)
	}
	return next, c.Flags(), problems
}

// compare returns the keys of the settings that are different now and in effect, and of those that
// need a restart. It notes those in effect.
func (r *reloader) compare(next *options, flags *pflag.FlagSet) (changed, kept []string) {
	var live []string
	for _, part := range r.o.reloads {
		live = append(live, part.flags...)
	}
	for name, value := range values(flags) {
		switch {
		case r.values[name] == value:
		case slices.Contains(live, name):
			changed = append(changed, config.Key(name))
			r.values[name] = value
		default:
			kept = append(kept, config.Key(name))
		}
	}
	sameItems := slices.EqualFunc(r.items, next.config.items, func(a, b config.Item) bool {
		return slices.EqualFunc(a.Settings, b.Settings, func(a, b config.Setting) bool {
			return a.Flag == b.Flag && slices.Equal(a.Values, b.Values)
		})
	})
	if !sameItems && !slices.Contains(kept, "listen") {
		changed = append(changed, "listen")
	}
	r.items = next.config.items
	slices.Sort(changed)
	slices.Sort(kept)
	return changed, kept
}

// reloadListeners makes the settings of the gateway's listeners changeable.
func reloadListeners(o *options, g *gateway.Gateway, page pageOn) {
	own := pflag.NewFlagSet("", pflag.ContinueOnError)
	new(listenerOptions).listenerFlags(own)
	var names []string
	new(tokens).addFlags(own)
	own.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	onReload(o, func(next *options) (func() error, error) {
		next.tls.clients = o.tls.clients // keepTLS puts other files into it
		all, err := listenersOf(next, page)
		if err != nil {
			return nil, err
		}
		useTokens, err := o.tokens.replace(&next.tokens, all, o.log)
		if err != nil {
			return nil, err
		}
		same := slices.DeleteFunc(all, func(l gateway.ListenerConfig) bool { return !slices.Contains(o.listen, l.URL) })
		return func() error {
			useTokens()
			return g.UpdateListeners(same)
		}, nil
	}, names...)
}
