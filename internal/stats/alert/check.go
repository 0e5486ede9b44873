package alert

import (
	"context"
	"slices"
	"time"

	"github.com/seed-7410fe32/sluice/internal/stats/keep"
)

// check checks all rules. now is the present time.
func (a *Alerts) check(ctx context.Context, now time.Time) {
	a.mu.Lock()
	rules := a.all()
	n := len(a.silence)
	a.silence = slices.DeleteFunc(a.silence, func(s Silence) bool { return !s.Until.After(now) })
	a.dirty = a.dirty || len(a.silence) != n
	errorsBefore := a.figures.CheckErrors
	a.mu.Unlock()
	seen := make(map[subject]bool)
	for i := range rules {
		a.checkRule(ctx, &rules[i], now, seen)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.checked = now
	for of, one := range a.firing {
		if !seen[of] { // the rule is gone, or there were no calls
			a.end(of, one, now)
		}
	}
	a.told.checks = a.figures.CheckErrors > errorsBefore
	a.told.full = a.told.full && len(a.firing) >= maxAlerts
}

// checkRule checks a rule for each module and interface that it is about, and notes them in seen.
// If that fails, its alerts stay as they are.
func (a *Alerts) checkRule(ctx context.Context, r *Rule, now time.Time, seen map[subject]bool) {
	window := time.Duration(r.Window)
	to := now.Add(-settle).Truncate(time.Minute)
	silence := r.Metric == NoData || r.Metric == Rate && r.Below != nil
	if silence && to.Add(-window).Before(a.started) {
		a.keep(r, seen) // what was before the start is not known
		if r.Metric == Rate {
			return
		}
		silence = false // calls since then are, and end an alert
	}
	asking, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	q := keep.Query{Module: r.Module, Interface: r.Interface, From: to.Add(-window), To: to}
	rows, from, until, err := a.cfg.Keeper.Rows(asking, q)
	if err != nil {
		a.keep(r, seen)
		if ctx.Err() == nil {
			a.couldNot(r, err)
		}
		return
	}
	calls := make(map[subject]*keep.Calls)
	for i := range rows {
		calls[subject{r.Name, rows[i].Module, rows[i].Interface}] = &rows[i].Calls
	}
	if silence {
		a.addSilent(r, calls)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for of, c := range calls {
		if v, known := r.value(c, until.Sub(from)); known {
			seen[of] = true
			a.note(r, of, v, now)
		}
	}
}

// addSilent adds those that had calls once, or that the rule names, and have none now.
func (a *Alerts) addSilent(r *Rule, calls map[subject]*keep.Calls) {
	add := func(module, iface string) {
		if of := (subject{r.Name, module, iface}); calls[of] == nil {
			calls[of] = new(keep.Calls)
		}
	}
	if r.Module != "" && r.Interface != "" {
		add(r.Module, r.Interface)
		return
	}
	for _, m := range a.cfg.Keeper.Modules() {
		for _, iface := range m.Interfaces {
			if (r.Module == "" || r.Module == m.Name) && (r.Interface == "" || r.Interface == iface) {
				add(m.Name, iface)
			}
		}
	}
}

// keep leaves the alerts of a rule as they are.
func (a *Alerts) keep(r *Rule, seen map[subject]bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for of := range a.firing {
		if of.rule == r.Name {
			seen[of] = true
		}
	}
}

// couldNot counts a rule that could not be checked.
func (a *Alerts) couldNot(r *Rule, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.figures.CheckErrors++
	if !a.told.checks {
		a.told.checks = true
		a.cfg.Logger.Error("an alert rule could not be checked", "rule", r.Name, "err", err)
	}
}

// note notes the value of a metric. mu must be held.
func (a *Alerts) note(r *Rule, of subject, v float64, now time.Time) {
	one := a.firing[of]
	holds, over := r.holds(v)
	switch {
	case one == nil && !holds:
		return
	case one == nil && len(a.firing) >= maxAlerts:
		a.figures.Dropped++
		if !a.told.full {
			a.told.full = true
			a.cfg.Logger.Error("there are too many alerts, further ones are not made", "alerts", maxAlerts, "rule", r.Name)
		}
		return
	case one == nil:
		one = &Alert{Rule: r.Name, Module: of.module, Interface: of.iface, State: "pending", Since: now}
		a.firing[of] = one
		a.dirty = true
	case one.State == "pending" && !holds:
		delete(a.firing, of)
		a.dirty = true
		return
	case over:
		a.end(of, one, now)
		return
	}
	one.Severity, one.Value, one.Unit = r.Severity, v, r.unit()
	if holds {
		one.Text = r.text(v)
	}
	if one.State == "pending" && now.Sub(one.Since) >= time.Duration(r.For) {
		one.State = "firing"
		a.figures.Fired++
		a.cfg.Logger.Warn("alert", "rule", r.Name, "module", of.module, "interface", of.iface, "severity", r.Severity,
			"what", one.Text)
	}
	if one.State == "firing" && !a.silenced(one) && (one.Told.IsZero() || now.Sub(one.Told) >= time.Duration(r.Repeat)) {
		a.tell(r.Webhooks, one, now)
	}
}

// end ends an alert. Who was told that it fires is told that it has ended. mu must be held.
func (a *Alerts) end(of subject, one *Alert, now time.Time) {
	delete(a.firing, of)
	a.dirty = true
	if one.State != "firing" {
		return
	}
	one.State, one.Ended = "resolved", &now
	a.cfg.Logger.Info("alert ended", "rule", one.Rule, "module", one.Module, "interface", one.Interface)
	a.recent = slices.Insert(a.recent, 0, *one)
	a.recent = a.recent[:min(len(a.recent), maxRecent)]
	for _, s := range a.senders {
		if slices.Contains(one.Webhooks, s.hook.Name) {
			s.push(*one)
		}
	}
}

// tell tells the webhooks with the names, or all, that an alert fires. mu must be held.
func (a *Alerts) tell(hooks []string, one *Alert, now time.Time) {
	var old []string
	old, one.Webhooks = one.Webhooks, nil // a new list: views have the old one
	var to []*sender
	for _, s := range a.senders {
		isTold := len(hooks) == 0 || slices.Contains(hooks, s.hook.Name)
		if isTold {
			to = append(to, s)
		}
		if isTold || slices.Contains(old, s.hook.Name) {
			one.Webhooks = append(one.Webhooks, s.hook.Name)
		}
	}
	if len(to) == 0 {
		return // a webhook that comes later is told then
	}
	one.Told, a.dirty = now, true
	for _, s := range to {
		s.push(*one)
	}
}
