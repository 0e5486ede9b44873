package cli

import (
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// together returns the settings that have no use without the setting of a flag, so that they would
// be mistakes if it alone were forgotten.
func together(flag string) []string {
	if strings.HasPrefix(flag, "jwt-") && strings.HasSuffix(flag, "-file") {
		own := pflag.NewFlagSet("", pflag.ContinueOnError)
		new(tokens).addFlags(own)
		var all []string
		own.VisitAll(func(f *pflag.Flag) { all = append(all, f.Name) })
		return all
	}
	if flag == engineFlags[0] {
		return engineFlags
	}
	if flag == "admin-token-file" {
		return []string{"admin"} // it may need tokens
	}
	for _, pairs := range [][]string{
		{"tls-cert", "tls-key", "tls-ticket-keys"},
		{"link-tls-cert", "link-tls-key", "link-tls-ca", "link-tls-name"},
		{"admin-tls-cert", "admin-tls-key"},
	} {
		if slices.Contains(pairs, flag) {
			return pairs
		}
	}
	return nil
}

// toDefault gives a flag its default.
func toDefault(f *pflag.Flag) error {
	f.Changed = false
	if list, ok := f.Value.(pflag.SliceValue); ok {
		return list.Replace(defaults(f))
	}
	return f.Value.Set(f.DefValue)
}
