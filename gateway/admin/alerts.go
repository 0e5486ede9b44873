package admin

import (
	"net/http"
	"time"

	"github.com/seed-7410fe32/sluice/internal/stats/alert"
)

// Silencing is the body of POST /api/v1/alerts/silences.
type Silencing struct {
	Rule      string `json:"rule"`
	Module    string `json:"module"`
	Interface string `json:"interface"`
	Seconds   int    `json:"seconds"`
	Comment   string `json:"comment"`
}

// alerting answers the requests about alerts.
type alerting struct {
	alerts *alert.Alerts // nil: this gateway has none
	audit  func(r *http.Request, what string, err error, details ...any)
}

var errNoAlerts error = refuse(http.StatusNotImplemented,
	"this gateway keeps no statistics, so it has no alerts: ask the node that keeps them")

// view answers GET /api/v1/alerts.
func (a *alerting) view(http.ResponseWriter, *http.Request) (any, error) {
	if a.alerts == nil {
		return nil, errNoAlerts
	}
	return a.alerts.View(), nil
}

// putRule answers PUT /api/v1/alerts/rules/{name}.
func (a *alerting) putRule(w http.ResponseWriter, r *http.Request) (any, error) {
	if a.alerts == nil {
		return nil, errNoAlerts
	}
	var rule alert.Rule
	if err := read(w, r, &rule); err != nil {
		return nil, err
	}
	rule.Name = r.PathValue("name")
	rule, err := a.alerts.PutRule(rule)
	a.audit(r, "alert rule", err, "rule", rule.Name)
	if err != nil {
		return nil, err
	}
	return rule, nil
}

// deleteRule answers DELETE /api/v1/alerts/rules/{name}.
func (a *alerting) deleteRule(_ http.ResponseWriter, r *http.Request) (any, error) {
	return a.remove(r, "alert rule deleted", "rule", r.PathValue("name"), (*alert.Alerts).DeleteRule)
}

// silence answers POST /api/v1/alerts/silences.
func (a *alerting) silence(w http.ResponseWriter, r *http.Request) (any, error) {
	if a.alerts == nil {
		return nil, errNoAlerts
	}
	var s Silencing
	if err := read(w, r, &s); err != nil {
		return nil, err
	}
	made, err := a.alerts.Silence(alert.Silence{
		Rule: s.Rule, Module: s.Module, Interface: s.Interface, By: callerOf(r).name, Comment: s.Comment,
	}, time.Duration(min(s.Seconds, 1<<30))*time.Second)
	a.audit(r, "alerts silenced", err, "rule", s.Rule, "module", s.Module, "interface", s.Interface, "seconds", s.Seconds)
	if err != nil {
		return nil, err
	}
	return made, nil
}

// endSilence answers DELETE /api/v1/alerts/silences/{id}.
func (a *alerting) endSilence(_ http.ResponseWriter, r *http.Request) (any, error) {
	return a.remove(r, "silence ended", "silence", r.PathValue("id"), (*alert.Alerts).EndSilence)
}

// remove removes what a request names.
func (a *alerting) remove(
	r *http.Request, what, kind, name string, from func(*alert.Alerts, string) error,
) (any, error) {
	if a.alerts == nil {
		return nil, errNoAlerts
	}
	err := from(a.alerts, name)
	a.audit(r, what, err, kind, name)
	if err != nil {
		return nil, err
	}
	return struct{}{}, nil
}

// Tested is the answer to POST /api/v1/alerts/test.
type Tested struct {
	Results []alert.TestResult `json:"results"`
}

// test answers POST /api/v1/alerts/test.
func (a *alerting) test(w http.ResponseWriter, r *http.Request) (any, error) {
	if a.alerts == nil {
		return nil, errNoAlerts
	}
	var body struct {
		Webhook string `json:"webhook"`
	}
	if err := read(w, r, &body); err != nil {
		return nil, err
	}
	results, err := a.alerts.Test(r.Context(), body.Webhook)
	a.audit(r, "alert test", err, "webhook", body.Webhook)
	if err != nil {
		return nil, err
	}
	return Tested{results}, nil
}
