package cli

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed-7410fe32/sluice/internal/config"
	"github.com/seed-7410fe32/sluice/worker"
)

// configFile is the value of --config: a file with settings. It knows the options that it sets.
type configFile struct {
	o       *options
	path    string
	flags   *pflag.FlagSet // of the command; nil before load
	sources config.Sources
	items   []config.Item // settings of the elements of --listen; nil: the list is not from the file
	foreign []string      // keys for other commands whose values are not their defaults
}

// String implements pflag.Value.
func (f *configFile) String() string { return f.path }

// Set implements pflag.Value.
func (f *configFile) Set(path string) error { f.path = path; return nil }

// Type implements pflag.Value.
func (f *configFile) Type() string { return "string" }

// configFlags adds --config, which makes the settings of a command come from a file and from the
// environment too.
func configFlags(c *cobra.Command, o *options) {
	o.config.o = o
	logFlags(c, &o.logs)
	o.ofGateway = append(o.ofGateway, "access-log", "access-log-sample")
	c.Flags().Var(&o.config, config.FileFlag,
		"YAML `file` with settings, read again on SIGHUP (sluice config example)")
}

// optionsOf returns the options of a command with --config, or nil.
func optionsOf(c *cobra.Command) *options {
	if f := c.Flags().Lookup(config.FileFlag); f != nil {
		if file, ok := f.Value.(*configFile); ok {
			return file.o
		}
	}
	return nil
}

// servers returns the commands that have --config.
func servers(root *cobra.Command) (all []*cobra.Command) {
	for _, c := range root.Commands() {
		if optionsOf(c) != nil {
			all = append(all, c)
		}
	}
	return all
}

// allSettings returns the settings of all commands with --config.
func allSettings(root *cobra.Command) *pflag.FlagSet {
	all := pflag.NewFlagSet("", pflag.ContinueOnError)
	for _, c := range servers(root) {
		all.AddFlagSet(c.Flags())
	}
	return all
}

// load sets the flags of the command that the command line has not set, from the environment and
// the file. Nothing has been checked then but the types of values.
func (f *configFile) load(c *cobra.Command, environ []string) (problems []config.Problem) {
	f.flags = c.Flags()
	if f.path == "" {
		f.path = lookup(environ, config.Env(config.FileFlag))
	}
	var settings []config.Setting
	if f.path != "" {
		// In a fresh set, because a value for another command is tried there.
		known := allSettings(command(nil, nil))
		settings, problems = config.Read(f.path, schema(known))
		_, wrong := config.Apply(known, f.path, foreign(settings, c.Flags()), nil)
		problems = append(problems, wrong...)
		f.foreign = withEffect(settings, c.Flags(), known)
	}
	sources, wrong := config.Apply(c.Flags(), f.path, settings, environ)
	problems = append(problems, wrong...)
	f.sources, f.items = sources, nil
	if sources["listen"].Kind == config.FromFile {
		at := slices.IndexFunc(settings, func(s config.Setting) bool { return s.Flag == "listen" })
		f.items = settings[at].Items
		for i := range f.items {
			if _, err := f.ownOptions(i, f.o.listenerOptions); err != nil {
				problems = append(problems, f.problem(ofItem(i, err)))
			}
		}
	}
	slices.SortStableFunc(problems, func(a, b config.Problem) int { return cmp.Compare(a.Line, b.Line) })
	return problems
}

// lookup returns the value of a variable in an environment.
func lookup(environ []string, name string) string {
	for _, e := range environ {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}

// schema returns what a file may contain.
func schema(known *pflag.FlagSet) config.Schema {
	item := pflag.NewFlagSet("", pflag.ContinueOnError)
	new(listenerOptions).listenerFlags(item)
	return config.Schema{Flags: known, List: "listen", Item: item}
}

// foreign returns the settings that are not those of a command.
func foreign(settings []config.Setting, flags *pflag.FlagSet) []config.Setting {
	return slices.DeleteFunc(slices.Clone(settings), func(s config.Setting) bool { return flags.Lookup(s.Flag) != nil })
}

// withEffect returns the keys of those settings that would have an effect in another command.
func withEffect(settings []config.Setting, flags, known *pflag.FlagSet) (keys []string) {
	for _, s := range foreign(settings, flags) {
		if f := known.Lookup(s.Flag); f.Value.String() != f.DefValue {
			keys = append(keys, config.Key(s.Flag))
		}
	}
	return keys
}

// ownOptions returns the options of a listener: those in the file for it, and those in shared for
// the rest.
func (f *configFile) ownOptions(i int, shared listenerOptions) (listenerOptions, error) {
	if i >= len(f.items) {
		return shared, nil
	}
	own, flags := listenerOptions{}, pflag.NewFlagSet("", pflag.ContinueOnError)
	own.listenerFlags(flags)
	own = shared
	for _, s := range f.items[i].Settings {
		if len(s.Values) == 0 {
			_ = flags.Lookup(s.Flag).Value.(pflag.SliceValue).Replace(nil) // only a list has no value
		}
		for _, v := range s.Values {
			if err := flags.Set(s.Flag, v); err != nil {
				return own, settingError{s.Flag, i, fmt.Errorf("%q: %s", v, config.Explain(err))}
			}
		}
	}
	return own, noZeros(flags)
}

// settingError is an error in the value of a setting. item is the index of the listener that has
// it; negative means none.
type settingError struct {
	flag string
	item int
	err  error
}

// Error names the setting as its flag.
func (e settingError) Error() string { return "--" + e.flag + ": " + e.err.Error() }

// Unwrap returns the cause.
func (e settingError) Unwrap() error { return e.err }

// ofItem makes an error that of a listener.
func ofItem(i int, err error) error {
	if bad, ok := errors.AsType[settingError](err); ok {
		bad.item = i
		return usageError{bad}
	}
	return err
}

// flagAtStart matches the name of a flag at the beginning of an error.
var flagAtStart = regexp.MustCompile(`^--([a-z][a-z-]*)`)

// problem returns an error of the options under the name that the setting has where its value comes
// from: flag, variable, or key and line of the file.
func (f *configFile) problem(err error) config.Problem {
	text := err.Error()
	m := flagAtStart.FindStringSubmatch(text)
	if m == nil {
		return config.Problem{Text: text}
	}
	flag := m[1]
	rest := strings.TrimPrefix(strings.TrimPrefix(text[len(m[0]):], ":"), " ")
	if bad, ok := errors.AsType[settingError](err); ok && bad.item >= 0 && bad.item < len(f.items) {
		item := f.items[bad.item]
		for _, s := range item.Settings {
			if s.Flag == flag {
				return config.Problem{File: f.path, Line: s.Line, Key: config.Key(flag), Text: rest}
			}
		}
		if flag == "listen" {
			return config.Problem{File: f.path, Line: item.Line, Key: "listen", Text: rest}
		}
	}
	switch from := f.sources[flag]; from.Kind {
	case config.FromFile:
		return config.Problem{File: from.File, Line: from.Line, Key: config.Key(flag), Text: rest}
	case config.FromEnv:
		return config.Problem{Key: config.Env(flag), Text: rest}
	}
	return config.Problem{Text: text}
}

// atSource returns an error that names a flag, under the name that problem gives it. It returns
// other errors as they are.
func (f *configFile) atSource(err error) error {
	if err == nil || !flagAtStart.MatchString(err.Error()) {
		return err
	}
	p := f.problem(err)
	if p.Key == "" {
		return err
	}
	if _, ok := errors.AsType[usageError](err); ok {
		return usageError{p}
	}
	return p
}

// onCommandLine reports whether the command line has set a flag. What is in a file, or in the
// environment, may be for several commands.
func (f *configFile) onCommandLine(flags *pflag.FlagSet, name string) bool {
	return flags.Changed(name) && f.sources[name].Kind != config.FromFile && f.sources[name].Kind != config.FromEnv
}

// configure sets the options of a command from the environment and its file.
func configure(c *cobra.Command) error {
	o := optionsOf(c)
	if o == nil {
		return nil
	}
	problems := o.config.load(c, os.Environ())
	if len(problems) > 0 {
		return usageError{joined(problems)}
	}
	if err := o.logs.check(); err != nil {
		return o.config.atSource(err)
	}
	o.logs.apply(o.log, "")
	if o.exitWithParent {
		return nil // its parent has said it
	}
	if keys := o.config.foreign; len(keys) > 0 {
		o.log.Warn("settings have no effect in this command", "file", o.config.path, "keys", strings.Join(keys, " "))
	}
	unknown := config.UnknownVariables(allSettings(c.Root()), os.Environ())
	for _, name := range slices.Sorted(maps.Keys(unknown)) {
		o.log.Warn("unknown environment variable", "name", name, "meant", unknown[name])
	}
	return nil
}

// joined makes one error of problems, with a line for each.
func joined(problems []config.Problem) error {
	lines := make([]string, len(problems))
	for i, p := range problems {
		lines[i] = p.Error()
	}
	return errors.New(strings.Join(lines, "\n"))
}

// check returns everything that is wrong with the options, without starting anything. It changes
// the options.
func (f *configFile) check(c *cobra.Command) (problems []config.Problem) {
	for {
		err := try(f.o, c.Flags())
		if err == nil {
			return problems
		}
		problems = append(problems, f.problem(err))
		if !f.forget(c.Flags(), err) {
			return problems
		}
	}
}

// try returns the first thing that is wrong with the options.
func try(o *options, f *pflag.FlagSet) error {
	err := noZeros(f)
	if err == nil && f.Lookup("worker") != nil {
		err = o.checkRole(f)
	}
	if err == nil {
		err = o.logs.check()
	}
	if err = cmp.Or(err, o.tokens.check(f), o.engine.check(o, f)); err != nil {
		return err
	}
	key, err := o.key()
	if err == nil {
		err = o.tls.load(o)
	}
	if err != nil {
		return err
	}
	if o.worker {
		_, err = o.newWorker(worker.Handler{}, "", key, o.gateways)
		return err
	}
	if _, err = o.newGateway(key, nil); err != nil {
		return err
	}
	return checkAdmin(o)
}

// forget gives the setting that an error is about its default, so that the next error can be found.
// It reports false if that does not lead on.
func (f *configFile) forget(flags *pflag.FlagSet, err error) bool {
	m := flagAtStart.FindStringSubmatch(err.Error())
	if m == nil {
		return false
	}
	if bad, ok := errors.AsType[settingError](err); ok && bad.item >= 0 && bad.item < len(f.items) {
		item := &f.items[bad.item]
		had := len(item.Settings)
		item.Settings = slices.DeleteFunc(item.Settings, func(s config.Setting) bool { return s.Flag == bad.flag })
		if len(item.Settings) < had {
			return true
		}
		if bad.flag == "listen" && len(f.o.listen) > 1 {
			f.o.listen = slices.Delete(f.o.listen, bad.item, bad.item+1)
			f.items = slices.Delete(f.items, bad.item, bad.item+1)
			return true
		}
	}
	flag := flags.Lookup(m[1])
	if flag == nil || flag.Value.String() == flag.DefValue && !flag.Changed {
		return false
	}
	if flag.Name == "listen" {
		f.items = nil
	}
	f.o.tls.unread = f.o.tls.unread || flag.Name == "tls-cert"
	for _, other := range together(flag.Name) {
		if f := flags.Lookup(other); f != nil && f != flag {
			_ = toDefault(f) // it is only of use with flag
		}
	}
	return toDefault(flag) == nil
}

// defaults returns the default of a flag that is a list.
func defaults(f *pflag.Flag) []string {
	text := strings.TrimSuffix(strings.TrimPrefix(f.DefValue, "["), "]")
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

// itemOf returns the index in Listeners[1].URL, or -1, and the name of the field.
func itemOf(field string) (item int, name string) {
	index, name, ok := strings.Cut(strings.TrimPrefix(field, "Listeners["), "].")
	if !ok {
		return -1, field
	}
	item, err := strconv.Atoi(index)
	if err != nil {
		return -1, field
	}
	return item, name
}

// quiet is the log of commands that are not run.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
