package browsertest

import (
	"context"
	"errors"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// Navigate opens an address and waits until it is loaded. chromedp's own waits for an event that a
// new process of the browser may send before it is listened to, and then for ever.
func Navigate(url string) chromedp.Action[chromedp.Void] {
	return load(func(ctx context.Context, t *chromedp.Target) error {
		res, err := cdp.Call(ctx, t, page.Navigate, page.NavigateParams{URL: url})
		if err == nil && res.ErrorText != "" {
			err = errors.New(url + ": " + res.ErrorText)
		}
		return err
	})
}

// Reload loads the page again, and waits as Navigate does.
func Reload() chromedp.Action[chromedp.Void] {
	return load(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, page.Reload, page.ReloadParams{})
		return err
	})
}

// load marks the document, and waits after begin for another one.
func load(begin func(context.Context, *chromedp.Target) error) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, t *chromedp.Target) (none chromedp.Void, err error) {
		if _, err := chromedp.Evaluate[bool](`document.isOld = true`)(ctx, t); err != nil {
			return none, err
		}
		if err := begin(ctx, t); err != nil {
			return none, err
		}
		const loaded = `!document.isOld && document.readyState === "complete"`
		poll := time.NewTicker(20 * time.Millisecond)
		defer poll.Stop()
		for {
			// An error is that of a document that goes.
			if ok, err := chromedp.Evaluate[bool](loaded)(ctx, t); err == nil && ok {
				return none, nil
			}
			select {
			case <-ctx.Done():
				return none, ctx.Err()
			case <-poll.C:
			}
		}
	}
}
