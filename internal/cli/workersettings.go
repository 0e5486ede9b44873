package cli

import (
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/seed-7410fe32/sluice/internal/config"
)

// sharedWithGateway are settings of workers that a gateway in the same process keeps until a
// restart, so that its worker processes have to keep them too.
var sharedWithGateway = append([]string{"key-file", "drain-timeout", "link-tls-name"}, engineFlags...)

// keepWorkerSettings makes worker processes have the settings in effect, and changeable. The
// processes do not read the file: it may have become wrong since, or not be meant yet. It must be
// called before followHangUps.
func keepWorkerSettings(o *options) {
	if o.config.path == "" {
		return // there is no file
	}
	kept := []string{}
	if !o.worker {
		kept = sharedWithGateway
		if o.tls.links == nil {
			kept = append(slices.Clone(kept), "link-tls-cert", "link-tls-key", "link-tls-ca")
		}
	}
	own := func(name string) bool { return !slices.Contains(kept, name) }
	first := workerEnv(o, func(string) bool { return true })
	o.envOfWorkers.Store(&first)
	start := workerEnv(o, func(name string) bool { return !own(name) })
	var live []string
	visitWorkerSettings(o, func(f *pflag.Flag) {
		if own(f.Name) {
			live = append(live, f.Name)
		}
	})
	onReload(o, func(next *options) (func() error, error) {
		env := append(workerEnv(next, own), start...)
		return func() error { o.envOfWorkers.Store(&env); return nil }, nil
	}, live...)
}

// visitWorkerSettings calls f for each setting that worker processes may have from a file.
func visitWorkerSettings(o *options, f func(*pflag.Flag)) {
	o.config.flags.VisitAll(func(flag *pflag.Flag) {
		if config.IsSetting(flag) && !slices.Contains(o.ofGateway, flag.Name) &&
			!slices.Contains([]string{"worker", "workers", "exit-with-parent"}, flag.Name) {
			f(flag)
		}
	})
}

// workerEnv returns the variables with the settings that are from the file. Worker processes get
// the others with the command line and the environment.
func workerEnv(o *options, wanted func(name string) bool) (env []string) {
	visitWorkerSettings(o, func(f *pflag.Flag) {
		if o.config.sources[f.Name].Kind != config.FromFile || !wanted(f.Name) {
			return
		}
		value := f.Value.String()
		if list, ok := f.Value.(pflag.SliceValue); ok {
			value = strings.Join(list.GetSlice(), ",")
		}
		env = append(env, config.Env(f.Name)+"="+value)
	})
	return env
}
