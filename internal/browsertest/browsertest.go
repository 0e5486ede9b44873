// Package browsertest opens windows of Chromium for tests.
package browsertest

import (
	"context"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// Path returns where Chromium is. Without one the test is skipped, but in CI it fails.
func Path(tb testing.TB) string {
	tb.Helper()
	for _, name := range []string{
		// The shell for tests is the same engine without windows around it, for a third of the CPU time.
		// Debian's command is a script that would leave it behind if the test ended by a signal.
		"/usr/lib/chromium/chromium-headless-shell", "chrome-headless-shell", "chromium", "chromium-browser", "google-chrome",
	} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		tb.Fatal("no Chromium: CI must have one")
	}
	tb.Skip("NOT TESTED: there is no Chromium here")
	return ""
}

// chromium is the one browser of a test binary, since a start takes longer than most tests. The
// first window starts it.
var chromium struct {
	sync.Once
	ctx context.Context // of the browser
	err error           // why it did not start
	end func()
}

// Patience bounds each wait of a test with a window, and within how long a window is open. They end
// a test that hangs, on a machine however busy.
const (
	Patience = 2 * time.Minute
	within   = 8 * time.Minute
)

// Open opens a window that shares neither cookies nor storage with other windows. It is closed when
// the test ends.
func Open(tb testing.TB, width, height int) context.Context {
	tb.Helper()
	path := Path(tb)
	chromium.Do(func() { start(path) })
	if chromium.err != nil {
		tb.Fatalf("Chromium does not start: %v", chromium.err)
	}
	ctx, closeWindow := chromedp.NewContext(chromium.ctx, chromedp.WithNewBrowserContext())
	tb.Cleanup(closeWindow)
	// This opens the window, which lives as long as ctx.
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(int64(width), int64(height))); err != nil {
		tb.Fatal(err)
	}
	// Tests run side by side, and each window behaves as the one in front.
	focus := emulation.SetFocusEmulationEnabledParams{Enabled: true}
	if _, err := chromedp.Call(ctx, emulation.SetFocusEmulationEnabled, focus); err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	tb.Cleanup(cancel)
	return ctx
}

func start(path string) {
	dir, err := os.MkdirTemp("", "chromium")
	if err != nil {
		chromium.err = err
		return
	}
	allocator, free := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(dir),
		chromedp.IgnoreCertErrors, // tests make certificates of their own
		chromedp.Flag("force-prefers-reduced-motion", true), chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true))...)
	ctx, closeAll := chromedp.NewContext(allocator)
	chromium.ctx = ctx
	chromium.err = chromedp.Do(ctx, Navigate("about:blank")) // starts it; it lives as long as this context
	chromium.end = func() {
		closeAll()
		free()
		_ = os.RemoveAll(dir)
	}
}

// End ends the browser, if there is one. TestMain calls it when all tests are over.
func End() {
	if chromium.end != nil {
		chromium.end()
	}
}
