// Package config reads the settings of a command from its command line, the environment and a YAML
// file. The flags of the command are the only table of settings: a flag --max-conns is also the
// environment variable SLUICE_MAX_CONNS and the key max_conns of the file. A new flag needs nothing
// else.
//
// What is nearer wins: the command line, then the environment, then the file, then the default.
package config

import (
	"strings"

	"github.com/spf13/pflag"
)

const envPrefix = "SLUICE_"

// Key returns the key of a flag in the file.
func Key(flag string) string { return strings.ReplaceAll(flag, "-", "_") }

// Env returns the environment variable of a flag.
func Env(flag string) string { return envPrefix + strings.ToUpper(Key(flag)) }

// IsSetting reports whether a flag is a setting. Hidden flags, --help and the flag that names the
// file are not.
func IsSetting(f *pflag.Flag) bool {
	return !f.Hidden && f.Name != "help" && f.Name != FileFlag
}

// FileFlag is the name of the flag that names the file.
const FileFlag = "config"

// Kind is the kind of a Source.
type Kind int

// The kinds of sources. A later one has precedence. 0 is the default.
const (
	FromFile Kind = iota + 1
	FromEnv
	FromFlag
)

// Source is where the value of a setting comes from.
type Source struct {
	Kind Kind
	File string // FromFile: its name
	Line int    // FromFile
}

// Sources has the source of each flag that does not have its default value.
type Sources map[string]Source
