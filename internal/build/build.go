// Package build tells what this program was built from.
package build

import (
	"debug/buildinfo"
	"runtime/debug"
)

// Version is the module's version, and the commit where the build has recorded it, with "modified" behind it when files had been changed since; empty where nothing is known.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	return version(info)
}

// Of is the same of another program; empty where it says nothing.
func Of(program string) string {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return ""
	}
	return version(info)
}

func version(info *debug.BuildInfo) string {
	v := info.Main.Version
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			v += " " + s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			v += " modified"
		}
	}
	return v
}
