package browsertest

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/chromedp/chromedp"
)

// Axe checks pages with axe-core.
type Axe struct{ source string }

// NewAxe reads axe-core from the file that the variable AXE_CORE names. Without one it checks
// nothing, but in CI the test fails.
func NewAxe(tb testing.TB) *Axe {
	tb.Helper()
	source, err := os.ReadFile(os.Getenv("AXE_CORE"))
	if err != nil && os.Getenv("CI") == "true" {
		tb.Fatalf("no axe-core: CI must have one: %v", err)
	} else if err != nil {
		tb.Log("NOT TESTED: axe-core, since AXE_CORE is not the path of axe.min.js")
	}
	return &Axe{string(source)}
}

// Check fails the test for each rule that the page of the window violates. If colors is set it
// checks only the rules that depend on colors: a page of the same size and content has passed the
// others.
func (a *Axe) Check(tb testing.TB, ctx context.Context, name string, colors bool) {
	tb.Helper()
	if a == nil || a.source == "" {
		return
	}
	loaded, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`"axe" in window`))
	if err == nil && !loaded {
		_, err = chromedp.Run(ctx, chromedp.Evaluate[bool](a.source+"; true"))
	}
	if err != nil {
		tb.Fatalf("%s: axe-core: %v", name, err)
	}
	options := `{}`
	if colors {
		options = `{runOnly: {type: "rule", values: ["color-contrast", "link-in-text-block"]}}`
	}
	run := fmt.Sprintf(`axe.run(%s).then((r) => r.passes.length + r.violations.length === 0 ?
  ["no rule was checked"] : r.violations.map((v) => v.id + ": " + v.nodes.map((n) => n.target + " " + n.failureSummary).slice(0, 3).join(" | ")))`,
		options)
	found, err := chromedp.Run(ctx, chromedp.Evaluate[[]string](run, chromedp.EvalAwaitPromise))
	if err != nil {
		tb.Fatalf("%s: axe-core: %v", name, err)
	}
	for _, f := range found {
		tb.Errorf("%s: %s", name, f)
	}
}
