// Sbom prints the bill of materials of a Go program as CycloneDX JSON: the modules that it was
// built from, as the program itself records them.
//
//	go run ./deploy/sbom PROGRAM
package main

import (
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
)

// bom is the part of a CycloneDX document (version 1.6) that is needed here. It has no serial
// number and no time, so that the same program has the same document.
type bom struct {
	Format       string       `json:"bomFormat"`
	Spec         string       `json:"specVersion"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Component component `json:"component"`
}

type component struct {
	Type       string     `json:"type"`
	Ref        string     `json:"bom-ref"`
	Name       string     `json:"name"`
	Version    string     `json:"version,omitempty"`
	PURL       string     `json:"purl"`
	Properties []property `json:"properties,omitempty"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn"`
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: sbom PROGRAM")
		os.Exit(2)
	}
	info, err := buildinfo.ReadFile(os.Args[1])
	if err == nil {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		err = out.Encode(describe(info))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

// describe returns the document of a program.
func describe(info *debug.BuildInfo) bom {
	program := moduleOf("application", &info.Main)
	for _, s := range info.Settings {
		switch s.Key {
		case "GOOS", "GOARCH", "CGO_ENABLED", "vcs.revision":
			program.Properties = append(program.Properties, property{"go:build:" + s.Key, s.Value})
		}
	}
	library := component{
		Type: "library", Ref: "std", Name: "std", Version: info.GoVersion,
		PURL: "pkg:golang/std@" + strings.TrimPrefix(info.GoVersion, "go"),
	}
	all := bom{
		Format: "CycloneDX", Spec: "1.6", Version: 1, Metadata: metadata{program}, Components: []component{library},
	}
	uses := dependency{Ref: program.Ref, DependsOn: []string{library.Ref}}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		c := moduleOf("library", m)
		if m.Sum != "" {
			c.Properties = []property{{"go:sum", m.Sum}}
		}
		all.Components = append(all.Components, c)
		uses.DependsOn = append(uses.DependsOn, c.Ref)
	}
	all.Dependencies = []dependency{uses}
	return all
}

func moduleOf(kind string, m *debug.Module) component {
	purl := "pkg:golang/" + m.Path
	if m.Version != "" && m.Version != "(devel)" {
		purl += "@" + m.Version
	}
	return component{Type: kind, Ref: purl, Name: m.Path, Version: m.Version, PURL: purl}
}
