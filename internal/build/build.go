// Package build reports what this program was built from.
package build

import (
	"debug/buildinfo"
	"runtime/debug"
	"strings"
)

// Version returns the module's version, and the commit where the build recorded it, followed by
// "modified" when files had been changed. It is empty when nothing is known.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	return version(info)
}

// Of returns the same for another program; "" when the program does not tell.
func Of(program string) string {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return ""
	}
	return version(info)
}

func version(info *debug.BuildInfo) string {
	parts := []string{info.Main.Version}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			parts = append(parts, s.Value)
		case s.Key == "vcs.modified" && s.Value == "true":
			parts = append(parts, "modified")
		}
	}
	return strings.Join(parts, " ")
}
