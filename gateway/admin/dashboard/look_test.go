package dashboard_test

import (
	"os"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/seed-7410fe32/sluice/internal/browsertest"
)

func TestLook(t *testing.T) {
	if os.Getenv("DASHBOARD_SHOTS") == "" {
		t.Skip()
	}
	f := start(t, nil)
	began := time.Now()
	remember(t, f.keeper, time.Now())
	t.Log(time.Since(began))
	for range 40 {
		f.dial("lobby", "tea")
	}
	places := map[string]string{"overview": "#/", "overview-14d": "#/?from=-336h", "overview-24h": "#/?from=-24h", "interface": "#/module/orders/place", "module": "#/module/orders",
		"failures": "#/failures", "live": "#/live", "alerts": "#/alerts"}
	only := os.Getenv("ONLY")
	for _, v := range []struct {
		name string
		w, h int
		dark bool
	}{{"desktop-light", 1440, 900, false}, {"desktop-dark", 1440, 900, true}, {"phone-light", 390, 844, false}, {"phone-dark", 390, 844, true}} {
		if o := os.Getenv("VIEW"); o != "" && o != v.name {
			continue
		}
		ctx := browsertest.Open(t, v.w, v.h)
		run(t, ctx, chromedp.Navigate(f.url), chromedp.WaitVisible(chromedp.CSS("#token")))
		if v.dark {
			ask[bool](t, ctx, `localStorage.setItem("sluice.theme", "dark"), true`)
			run(t, ctx, chromedp.Reload(), chromedp.WaitVisible(chromedp.CSS("#token")))
		}
		shot(t, ctx, v.name+"-login")
		f.logIn(ctx, operateToken)
		for name, place := range places {
			if only != "" && only != name {
				continue
			}
			run(t, ctx, goTo(place), until(`!document.querySelector(".loading")`))
			time.Sleep(2500 * time.Millisecond)
			h := ask[int](t, ctx, `document.documentElement.scrollHeight`)
			run(t, ctx, chromedp.EmulateViewport(int64(v.w), int64(min(max(h, v.h), 3000))))
			time.Sleep(300 * time.Millisecond)
			shot(t, ctx, v.name+"-"+name)
			run(t, ctx, chromedp.EmulateViewport(int64(v.w), int64(v.h)))
		}
		t.Log(ask[string](t, ctx, `document.fonts.check("14px Inter") + ""`))
	}
}
