package cli

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed-7410fe32/sluice/internal/config"
)

const configHelp = `Settings of chat, echo and gateway come from the command line, the environment and a YAML file
(--config FILE, or SLUICE_CONFIG). The first of them that has a setting wins; then its default. A
flag --max-conns is SLUICE_MAX_CONNS in the environment and max_conns in the file.
`

func configCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "config", Short: "check a file with settings, show the settings in effect, or write an example",
		Long: configHelp, Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(configCheckCommand(), configPrintCommand(), configExampleCommand())
	return c
}

func configCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE [chat|echo|gateway]",
		Short: "check a file with settings; exit code 1 if something is wrong with it",
		Long: `Check a file with settings, as chat, echo and gateway would read it, or one of them. Files that it
names have to be there. Everything that is wrong is printed with its line, and the exit code is 1.
The environment has no influence.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return usageError{errors.New("must be: sluice config check FILE [chat|echo|gateway]")}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			problems, err := checkFile(c.Root(), args[0], args[1:])
			if err != nil {
				return err
			}
			if len(problems) > 0 {
				return joined(problems)
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s: OK\n", args[0])
			return err
		},
	}
}

// checkFile returns what is wrong with a file for the named commands. No name means all.
func checkFile(root *cobra.Command, path string, names []string) (problems []config.Problem, err error) {
	for _, name := range names {
		if _, err := server(root, name); err != nil {
			return nil, err
		}
	}
	for _, c := range servers(command(quiet(), nil)) {
		if len(names) > 0 && !slices.Contains(names, c.Name()) {
			continue
		}
		o := optionsOf(c)
		o.config.path = path
		for _, p := range append(o.config.load(c, nil), o.config.check(c)...) {
			if p.File == "" {
				p.File = path
			}
			if !slices.Contains(problems, p) {
				problems = append(problems, p)
			}
		}
		for _, key := range o.config.foreign {
			if len(names) > 0 {
				problems = append(problems, config.Problem{File: path, Key: key, Text: "has no effect in " + c.Name()})
			}
		}
	}
	slices.SortStableFunc(problems, func(a, b config.Problem) int { return a.Line - b.Line })
	return problems, nil
}

// server returns the command with --config that has a name.
func server(root *cobra.Command, name string) (*cobra.Command, error) {
	var names []string
	for _, c := range servers(root) {
		if c.Name() == name {
			return c, nil
		}
		names = append(names, c.Name())
	}
	return nil, usageError{fmt.Errorf("%q: must be one of %s", name, strings.Join(names, ", "))}
}

// oneServer accepts the name of a command with --config, or nothing.
func oneServer(c *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usageError{fmt.Errorf("unexpected argument %q", args[1])}
	}
	if len(args) == 1 {
		_, err := server(c.Root(), args[0])
		return err
	}
	return nil
}

func configPrintCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "print [chat|echo|gateway] [flags of the command]",
		Short: "print the settings in effect, and where each comes from",
		Long: `Print the settings that a command would have with these flags, in this environment, as a file with
settings. A comment says where each value comes from. Secrets are not shown. Without a command, the
settings of all of them are printed.`,
		Args: oneServer,
	}
	// The flags are those of commands that are not run.
	servers := command(quiet(), nil)
	all := allSettings(servers)
	all.VisitAll(func(f *pflag.Flag) {
		if config.IsSetting(f) {
			c.Flags().AddFlag(f)
		}
	})
	file := new(configFile)
	c.Flags().Var(file, config.FileFlag, "YAML `file` with settings")
	c.SetFlagErrorFunc(flagError)
	c.SetUsageFunc(usageByTopic)
	c.RunE = func(c *cobra.Command, args []string) error {
		of := c
		o := &options{config: *file}
		o.config.o = o
		if len(args) == 1 {
			of, _ = server(command(quiet(), nil), args[0])
			o = optionsOf(of)
			o.config.path = file.path
			if err := replay(c.Flags(), of.Flags()); err != nil {
				return err
			}
		}
		if problems := o.config.load(of, os.Environ()); len(problems) > 0 {
			return usageError{joined(problems)}
		}
		text := config.Print(sections(of.Flags()), o.config.sources, "listen", o.config.items)
		_, err := fmt.Fprint(c.OutOrStdout(), text)
		return err
	}
	return c
}

// replay sets the flags that one command line has set in another flag set too.
func replay(from, to *pflag.FlagSet) (err error) {
	from.Visit(func(f *pflag.Flag) {
		if err == nil && f.Name != config.FileFlag && f.Name != "help" {
			err = copyFlag(f, to)
		}
	})
	return err
}

// copyFlag sets a flag in another flag set to the same value.
func copyFlag(f *pflag.Flag, to *pflag.FlagSet) error {
	target := to.Lookup(f.Name)
	if target == nil {
		return usageError{fmt.Errorf("the command has no --%s", f.Name)}
	}
	if list, ok := f.Value.(pflag.SliceValue); ok {
		target.Changed = true
		return target.Value.(pflag.SliceValue).Replace(list.GetSlice()) // both are of one type
	}
	return to.Set(f.Name, f.Value.String())
}

const exampleHead = `Settings of sluice, each with its default. Remove what you do not change.
"sluice config check FILE" checks a file. A flag, or a variable of the environment, has precedence
over the file: max_conns is --max-conns and SLUICE_MAX_CONNS. What is "repeatable" is a list.
On SIGHUP the program reads the file again.

An element of "listen" may be a mapping, with settings that hold for this listener only:

listen:
  - url: ws://0.0.0.0:7272
    origin: [chat.example]
    max_conns: 50000
  - text://127.0.0.1:7273`

func configExampleCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "example [chat|echo|gateway]",
		Short: "print a file with every setting, its description and its default",
		Args:  oneServer,
		RunE: func(c *cobra.Command, args []string) error {
			_, err := fmt.Fprint(c.OutOrStdout(), example(args))
			return err
		},
	}
}

// example returns the example for a command, or for all.
func example(names []string) string {
	root := command(quiet(), nil)
	all := servers(root)
	flags := allSettings(root)
	if len(names) > 0 {
		c, _ := server(root, names[0])
		all, flags = []*cobra.Command{c}, c.Flags()
	}
	return config.Example(exampleHead, sections(flags), func(f *pflag.Flag) string { return differing(all, f.Name) })
}

// differing says what the default of a flag is in each command, if it is not the same in all.
func differing(all []*cobra.Command, name string) string {
	var each []string
	values := make(map[string]bool)
	for _, c := range all {
		if f := c.Flags().Lookup(name); f != nil {
			each = append(each, c.Name()+" "+f.DefValue)
			values[f.DefValue] = true
		}
	}
	if len(values) < 2 {
		return ""
	}
	return "The default differs: " + strings.Join(each, ", ") + "."
}

// sections returns the settings of a command under the headings of its help.
func sections(flags *pflag.FlagSet) []config.Section {
	titles, names := make([]string, len(topics)), make([][]string, len(topics))
	for i, t := range topics {
		titles[i], names[i] = t.title, strings.Fields(t.flags)
	}
	return config.All(flags, titles, names, "Others")
}
