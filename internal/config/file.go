package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// maxFile is the size of the largest file, in bytes.
const maxFile = 1 << 20

// Setting is a setting that a file makes.
type Setting struct {
	Flag   string
	Line   int
	Values []string // one, or those of a list
	// Items are the elements of a list whose elements may have settings of their own; otherwise it
	// is nil. Values has the name of each.
	Items []Item
}

// Item is an element of such a list.
type Item struct {
	Line     int
	Settings []Setting
}

// NameKey is the key of a mapping in a list that has the element's value.
const NameKey = "url"

// Schema is what a file may contain.
type Schema struct {
	// Flags are the settings.
	Flags *pflag.FlagSet
	// List is the name of the flag whose elements may be mappings. Empty means none.
	List string
	// Item are the flags that such a mapping may set for its element.
	Item *pflag.FlagSet
}

// Read reads a file and parses it.
func Read(name string, s Schema) (settings []Setting, problems []Problem) {
	f, err := os.Open(name)
	if err != nil {
		return nil, []Problem{{File: name, Text: errors.Unwrap(err).Error()}}
	}
	defer f.Close() //nolint:errcheck // it is only read
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, []Problem{{File: name, Text: errors.Unwrap(err).Error()}}
	}
	return Parse(name, text, s)
}

// Parse parses the text of a file. It returns all problems, in the order of their lines, and the
// settings that have none.
func Parse(name string, text []byte, s Schema) (settings []Setting, problems []Problem) {
	p := parser{file: name, schema: s}
	if len(text) > maxFile {
		p.add(0, "", "more than %d bytes", maxFile)
		return nil, p.problems
	}
	var doc yaml.Node
	in := yaml.NewDecoder(bytes.NewReader(text))
	switch err := in.Decode(&doc); {
	case errors.Is(err, io.EOF): // nothing but comments
		return nil, nil
	case err != nil:
		p.syntax(err)
		return nil, p.problems
	}
	var more yaml.Node
	if err := in.Decode(&more); err == nil {
		p.add(more.Line, "", "a second document: there must be one")
	} else if !errors.Is(err, io.EOF) {
		p.syntax(err)
	}
	root := resolve(doc.Content[0])
	switch {
	case root.Kind == yaml.ScalarNode && root.Tag == "!!null":
	case root.Kind != yaml.MappingNode:
		p.add(root.Line, "", "must be a mapping: lines of the form KEY: VALUE")
	default:
		settings = p.mapping(root, s.Flags, "")
	}
	slices.SortStableFunc(p.problems, func(a, b Problem) int { return a.Line - b.Line })
	return settings, p.problems
}

type parser struct {
	file     string
	schema   Schema
	problems []Problem // bound: none, a file has at most maxFile bytes
}

func (p *parser) add(line int, key, format string, args ...any) {
	p.problems = append(p.problems, Problem{p.file, line, key, fmt.Sprintf(format, args...)})
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// syntax notes an error of the YAML parser.
func (p *parser) syntax(err error) {
	m := yamlLine.FindStringSubmatch(err.Error())
	if m == nil {
		p.add(0, "", "%v", err)
		return
	}
	line, _ := strconv.Atoi(m[1])
	p.add(line, "", "not valid YAML: %s", m[2])
}

// resolve returns the node that an alias stands for.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// mapping returns the settings of a mapping. Those with a problem are missing. name is a key that
// is not a setting; mapping skips it.
func (p *parser) mapping(n *yaml.Node, flags *pflag.FlagSet, name string) (settings []Setting) {
	seen := make(map[string]int) // lines; bound: none, a file has at most maxFile bytes
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], resolve(n.Content[i+1])
		if key.Kind != yaml.ScalarNode {
			p.add(key.Line, "", "a key must be text")
			continue
		}
		if first := seen[key.Value]; first > 0 {
			p.add(key.Line, key.Value, "is there twice: first in line %d", first)
			continue
		}
		seen[key.Value] = key.Line
		if key.Value == name {
			continue
		}
		f := flags.Lookup(strings.ReplaceAll(key.Value, "_", "-"))
		if f == nil || !IsSetting(f) || strings.Contains(key.Value, "-") {
			p.unknown(key, flags, name)
			continue
		}
		s := Setting{Flag: f.Name, Line: key.Line}
		if f.Name == p.schema.List && name == "" {
			if !p.list(&s, key, value) {
				continue
			}
		} else if !p.values(&s, key, value, f) {
			continue
		}
		settings = append(settings, s)
	}
	return settings
}

// unknown notes a key that does not exist.
func (p *parser) unknown(key *yaml.Node, flags *pflag.FlagSet, name string) {
	var names []string
	flags.VisitAll(func(f *pflag.Flag) {
		if IsSetting(f) {
			names = append(names, Key(f.Name))
		}
	})
	if name != "" {
		names = append(names, name)
	}
	near := Nearest(strings.ToLower(strings.ReplaceAll(strings.TrimLeft(key.Value, "-"), "-", "_")), names)
	switch {
	case near != "":
		p.add(key.Line, key.Value, "unknown key: did you mean %s?", near)
	case name != "" && p.schema.Flags.Lookup(strings.ReplaceAll(key.Value, "_", "-")) != nil:
		p.add(key.Line, key.Value, "cannot be set for one listener")
	default:
		p.add(key.Line, key.Value, "unknown key")
	}
}

// values sets the values of a setting, and reports whether the node is of the flag's type.
func (p *parser) values(s *Setting, key, n *yaml.Node, f *pflag.Flag) bool {
	_, isList := f.Value.(pflag.SliceValue)
	if !isList || n.Kind == yaml.ScalarNode {
		v, ok := p.scalar(key, n, f)
		s.Values = []string{v}
		return ok
	}
	if n.Kind != yaml.SequenceNode {
		p.add(n.Line, key.Value, "must be a list, for example [a, b]")
		return false
	}
	before := len(p.problems)
	s.Values = []string{}
	for _, e := range n.Content {
		if v, ok := p.scalar(key, resolve(e), f); ok {
			s.Values = append(s.Values, v)
		}
	}
	return len(p.problems) == before
}

// scalar returns the text of a scalar that is of the flag's type.
func (p *parser) scalar(key, n *yaml.Node, f *pflag.Flag) (string, bool) {
	if n.Kind != yaml.ScalarNode {
		p.add(n.Line, key.Value, "must be %s", typeName(f))
		return "", false
	}
	if n.Tag == "!!null" {
		p.add(n.Line, key.Value, `has no value: remove the line, or write "" for empty text`)
		return "", false
	}
	var fits bool
	switch f.Value.Type() {
	case "bool":
		fits = n.Tag == "!!bool"
	case "int":
		fits = n.Tag == "!!int"
	case "duration":
		fits = n.Tag == "!!str" || n.Value == "0"
	default:
		fits = n.Tag != "!!bool"
	}
	if !fits {
		p.add(n.Line, key.Value, "%q: must be %s", n.Value, typeName(f))
	}
	return n.Value, fits
}

// typeName returns what the value of a flag must be.
func typeName(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "bool":
		return "true or false"
	case "int":
		return "a whole number"
	case "duration":
		return "a time with its unit, for example 10s, 1m30s or 200ms"
	}
	return `text, for example "a"`
}

// list sets the values of a list whose elements are names, or mappings with a name and settings. It
// leaves out elements with a problem, and reports false if no others are left.
func (p *parser) list(s *Setting, key, n *yaml.Node) bool {
	elements := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		elements = n.Content
	}
	before := len(p.problems)
	f := p.schema.Flags.Lookup(s.Flag)
	s.Values, s.Items = []string{}, []Item{}
	for _, e := range elements {
		e = resolve(e)
		item := Item{Line: e.Line}
		var name string
		if e.Kind == yaml.MappingNode {
			item.Settings = p.mapping(e, p.schema.Item, NameKey)
			if name = p.name(key, e, f); name == "" {
				continue
			}
		} else {
			var ok bool
			if name, ok = p.scalar(key, e, f); !ok {
				continue
			}
		}
		s.Values, s.Items = append(s.Values, name), append(s.Items, item)
	}
	return len(p.problems) == before || len(s.Values) > 0
}

// name returns the name in a mapping that is an element of the list, or "" after a problem.
func (p *parser) name(key, e *yaml.Node, f *pflag.Flag) string {
	for i := 0; i+1 < len(e.Content); i += 2 {
		if e.Content[i].Value == NameKey {
			name, ok := p.scalar(e.Content[i], resolve(e.Content[i+1]), f)
			if ok && name == "" {
				p.add(e.Content[i].Line, NameKey, "must not be empty")
			}
			return name
		}
	}
	p.add(e.Line, key.Value, "the key %s is missing in this element", NameKey)
	return ""
}
