package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// Section is a heading and the flags below it.
type Section struct {
	Title string
	Flags []*pflag.Flag
}

// columns is the width of the comments of an example.
const columns = 100

// Example returns a file with every setting, its description and its default. What the file says is
// what holds without it. off says why a setting is in a comment; empty means that it is not.
func Example(head string, sections []Section, off func(*pflag.Flag) string) string {
	var b strings.Builder
	comment(&b, head)
	for _, s := range sections {
		fmt.Fprintf(&b, "\n# --- %s\n", s.Title)
		for _, f := range s.Flags {
			_, usage := pflag.UnquoteUsage(f)
			b.WriteByte('\n')
			comment(&b, upperFirst(usage)+".")
			line := Key(f.Name) + ": " + value(f) + "\n"
			if why := off(f); why != "" {
				comment(&b, why)
				line = "#" + line
			}
			b.WriteString(line)
		}
	}
	return b.String()
}

// Print returns the settings in effect as a file, with the source of each. list and items are the
// elements of the list that have settings of their own.
func Print(sections []Section, sources Sources, list string, items []Item) string {
	var b strings.Builder
	for i, s := range sections {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "# %s\n", s.Title)
		for _, f := range s.Flags {
			from := sources[f.Name]
			if f.Name == list && from.Kind == FromFile {
				printItems(&b, f, from, items)
				continue
			}
			text := urlPassword.ReplaceAllString(value(f), "$1***@")
			if Secret(f) && f.Value.String() != "" {
				text = `"***"`
			}
			fmt.Fprintf(&b, "%s: %s  # %s\n", Key(f.Name), text, from.name(f))
		}
	}
	return b.String()
}

// urlPassword matches the password in a URL.
var urlPassword = regexp.MustCompile(`(://[^/@\s]*:)[^/@\s]*@`)

// printItems writes the elements of a list of a file.
func printItems(b *strings.Builder, f *pflag.Flag, from Source, items []Item) {
	list, _ := f.Value.(pflag.SliceValue)
	fmt.Fprintf(b, "%s:  # %s\n", Key(f.Name), from.name(f))
	for i, name := range list.GetSlice() {
		fmt.Fprintf(b, "  - %s: %s\n", NameKey, scalar(name))
		for _, s := range items[i].Settings {
			text := flow(s.Values)
			if len(s.Values) == 1 {
				text = plain(s.Values[0])
			}
			fmt.Fprintf(b, "    %s: %s  # %s:%d\n", Key(s.Flag), text, from.File, s.Line)
		}
	}
}

// name returns the name of a source.
func (s Source) name(f *pflag.Flag) string {
	switch s.Kind {
	case FromFlag:
		return "--" + f.Name
	case FromEnv:
		return Env(f.Name)
	case FromFile:
		return s.File + ":" + strconv.Itoa(s.Line)
	}
	return "default"
}

// value returns the value of a flag as YAML.
func value(f *pflag.Flag) string {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		return flow(list.GetSlice())
	}
	switch f.Value.Type() {
	case "bool", "int", "duration":
		return f.Value.String()
	}
	return scalar(f.Value.String())
}

// plain returns a value of a file as YAML. It has been checked against its type.
func plain(v string) string {
	var n yaml.Node
	if yaml.Unmarshal([]byte(v), &n) == nil && len(n.Content) == 1 && n.Content[0].Value == v &&
		n.Content[0].Tag != "!!null" {
		return v
	}
	return scalar(v)
}

// flow returns a list as YAML.
func flow(values []string) string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = scalar(v)
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// scalar returns text as YAML: in quotes where it could be taken for something else.
func scalar(text string) string {
	const quoteAt = "\"'\\#,[]{}&*!|>%@`\t\n"
	var n yaml.Node
	if text == "" || strings.ContainsAny(text, quoteAt) || strings.Contains(text, ": ") ||
		yaml.Unmarshal([]byte(text), &n) != nil || len(n.Content) != 1 ||
		n.Content[0].Kind != yaml.ScalarNode || n.Content[0].Tag != "!!str" || n.Content[0].Value != text {
		return strconv.Quote(text)
	}
	return text
}

// comment writes text as a comment, in lines of at most so many columns. It keeps indents.
func comment(b *strings.Builder, text string) {
	for paragraph := range strings.SplitSeq(text, "\n") {
		indent := "#" + paragraph[:len(paragraph)-len(strings.TrimLeft(paragraph, " "))]
		line := indent
		for word := range strings.FieldsSeq(paragraph) {
			if len(line)+1+len(word) > columns {
				b.WriteString(line + "\n")
				line = indent
			}
			line += " " + word
		}
		b.WriteString(line + "\n")
	}
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// All returns the settings of a flag set in the order of sections, each a title and names of flags.
// Those without a section stand below the last title.
func All(flags *pflag.FlagSet, titles []string, names [][]string, last string) (sections []Section) {
	left := make(map[string]bool) // bound: none, of the flags
	flags.VisitAll(func(f *pflag.Flag) {
		if IsSetting(f) {
			left[f.Name] = true
		}
	})
	for i, title := range titles {
		s := Section{Title: title}
		for _, name := range names[i] {
			if left[name] {
				s.Flags = append(s.Flags, flags.Lookup(name))
				delete(left, name)
			}
		}
		if len(s.Flags) > 0 {
			sections = append(sections, s)
		}
	}
	rest := Section{Title: last}
	flags.VisitAll(func(f *pflag.Flag) {
		if left[f.Name] {
			rest.Flags = append(rest.Flags, f)
		}
	})
	if len(rest.Flags) > 0 {
		sections = append(sections, rest)
	}
	return slices.Clip(sections)
}
