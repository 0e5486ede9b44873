// Package build reports which version a program was built from.
package build

import (
	"debug/buildinfo"
	"runtime/debug"
	"strings"
)

// Version returns the module's version and, if the build has recorded it, the commit, followed by
// "modified" if files were changed since. It is empty if nothing is known.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	return version(info)
}

// Of returns the same for another program's file, or "" if the file has no build information.
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
