package config

import (
	"regexp"
	"strings"

	"github.com/spf13/pflag"
)

// Apply sets the flags that the command line has not set, first from the environment, then from the
// settings of a file. It returns the source of each flag that is set, and all problems. An empty
// variable counts as one that is not there. Settings of other commands are left alone.
func Apply(
	flags *pflag.FlagSet, file string, settings []Setting, environ []string,
) (sources Sources, problems []Problem) {
	sources = make(Sources) // bound: none, of the flags
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed {
			sources[f.Name] = Source{Kind: FromFlag}
		}
	})
	env := variables(environ)
	flags.VisitAll(func(f *pflag.Flag) {
		value := env[Env(f.Name)]
		if _, done := sources[f.Name]; value == "" || done || !IsSetting(f) {
			return
		}
		if text := set(flags, f, inList(f, value)); text != "" {
			problems = append(problems, Problem{Key: Env(f.Name), Text: text})
		}
		sources[f.Name] = Source{Kind: FromEnv}
	})
	for _, s := range settings {
		f := flags.Lookup(s.Flag)
		if f == nil {
			continue
		}
		if sources[s.Flag].Kind > FromFile {
			continue
		}
		if text := set(flags, f, s.Values); text != "" {
			problems = append(problems, Problem{file, s.Line, Key(s.Flag), text})
		}
		sources[s.Flag] = Source{FromFile, file, s.Line}
	}
	return sources, problems
}

// set sets a flag to a value or, if it is a list, to values. It returns what is wrong with them.
func set(flags *pflag.FlagSet, f *pflag.Flag, values []string) (problem string) {
	if list, ok := f.Value.(pflag.SliceValue); ok && len(values) == 0 {
		f.Changed = true
		_ = list.Replace(nil) // fails only for values
		return ""
	}
	for _, v := range values {
		if err := flags.Set(f.Name, v); err != nil {
			return quoted(f, v) + Explain(err)
		}
	}
	return ""
}

func quoted(f *pflag.Flag, v string) string {
	if Secret(f) {
		return ""
	}
	return `"` + v + `": `
}

// variables returns the variables of this program.
func variables(environ []string) map[string]string {
	m := make(map[string]string)
	for _, e := range environ {
		if name, value, ok := strings.Cut(e, "="); ok && strings.HasPrefix(name, envPrefix) {
			m[name] = value
		}
	}
	return m
}

var (
	separators = regexp.MustCompile(`[\s,]+`)
	urlStart   = regexp.MustCompile(`^[a-z+]+://`)
)

// inList returns the values of a variable: its elements if the flag is a list. They are separated
// by spaces or commas. What follows a comma in the options of a URL belongs to the URL.
func inList(f *pflag.Flag, value string) []string {
	if _, ok := f.Value.(pflag.SliceValue); !ok {
		return []string{value}
	}
	values := []string{}
	for _, part := range separators.Split(strings.TrimSpace(value), -1) {
		last := len(values) - 1
		switch {
		case part == "":
		case last >= 0 && strings.Contains(values[last], "?") && !urlStart.MatchString(part):
			values[last] += "," + part
		default:
			values = append(values, part)
		}
	}
	return values
}

// UnknownVariables returns the variables of this program in the environment that are none, but look
// like one that is, with that. Other names are left to other programs: Kubernetes sets some.
func UnknownVariables(flags *pflag.FlagSet, environ []string) map[string]string {
	var names []string
	flags.VisitAll(func(f *pflag.Flag) {
		if IsSetting(f) {
			names = append(names, Env(f.Name))
		}
	})
	similar := make(map[string]string)
	for name := range variables(environ) {
		for _, n := range names {
			if d := distance(name, n); d == 0 {
				delete(similar, name)
				break
			} else if d == 1 || d == 2 && len(name) >= len(envPrefix)+len("MAX_CON") {
				similar[name] = n
			}
		}
	}
	return similar
}

// secretName matches the flags whose value is a secret, unless it is the name of a file.
var secretName = regexp.MustCompile(`(^|-)(secret|token|password|key)s?$`)

// Secret reports whether the value of a flag must not be shown. Flags with the name of a file that
// has the secret may be.
func Secret(f *pflag.Flag) bool {
	placeholder, _ := pflag.UnquoteUsage(f)
	return secretName.MatchString(f.Name) && !strings.EqualFold(placeholder, "file")
}
