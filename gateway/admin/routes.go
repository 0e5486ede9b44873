package admin

import (
	"context"
	_ "embed" // openapi.yaml
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/seed-7410fe32/sluice/gateway/admin/dashboard"
)

// maxScrapes is how many scrapes of /metrics are answered at the same time.
const maxScrapes = 4

// newHandler returns the handler of all requests.
func newHandler(s *Server) (http.Handler, error) {
	figures := &collector{
		gateway: s.cfg.Gateway, guard: s.guard, publish: s.publishing, version: s.cfg.Version,
	}
	registry, err := newRegistry(figures, s.cfg.Collectors...)
	if err != nil {
		return nil, err
	}
	guarded := http.NewServeMux()
	metrics := promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: maxScrapes, EnableOpenMetrics: true,
	})
	for _, e := range endpointsOf(s, metrics) {
		guarded.Handle(e.pattern, s.guard.limit(e.scope, e.serve))
	}
	all := http.NewServeMux()
	all.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { probe(w, nil, "") })
	all.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		probe(w, s.cfg.Gateway.Readiness(), directoryNote(s.cfg.Gateway))
	})
	page := dashboard.Handler()
	all.Handle("GET /{$}", page)
	all.Handle("GET /dashboard/{version}/{file}", page)
	l := &logins{s.guard, s.cfg.Audit}
	all.Handle("GET /session", plain(l.session))
	all.Handle("POST /login", plain(l.begin))
	all.Handle("POST /logout", plain(l.end))
	all.Handle("/", s.guard.wrap(plainErrors(guarded)))
	return all, nil
}

// probe answers a probe. The body of a 503 has the reason. That of a 200 has the note, if there is
// one.
func probe(w http.ResponseWriter, err error, note string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(err.Error() + "\n"))
		return
	}
	if note != "" {
		note += "\n"
	}
	_, _ = w.Write([]byte("ok\n" + note))
}

// plain returns a handler for a request that needs no token.
func plain(o operation) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		o.ServeHTTP(w, r)
	})
}

// operation answers a request of the API: with a value for JSON, or an error.
type operation func(w http.ResponseWriter, r *http.Request) (any, error)

// endpoint is what is served at a path to callers with a token.
type endpoint struct {
	pattern string
	scope   scope // that the token needs
	serve   http.Handler
}

// endpointsOf returns all that is served to callers with a token. openapi.yaml describes the API.
func endpointsOf(s *Server, metrics http.Handler) []endpoint {
	calls := newStatistics(&s.cfg)
	alerts := &alerting{s.cfg.Alerts, s.audit}
	return []endpoint{
		{"GET /metrics", scopeRead, metrics},
		{"GET /debug/pprof/", scopeOperate, http.HandlerFunc(pprof.Index)},
		{"GET /debug/pprof/cmdline", scopeOperate, http.HandlerFunc(pprof.Cmdline)},
		{"GET /debug/pprof/profile", scopeOperate, http.HandlerFunc(pprof.Profile)},
		{"GET /debug/pprof/symbol", scopeOperate, http.HandlerFunc(pprof.Symbol)},
		{"GET /debug/pprof/trace", scopeOperate, http.HandlerFunc(pprof.Trace)},
		{"GET /api/v1/openapi.yaml", scopeRead, http.HandlerFunc(document)},
		{"GET /api/v1/status", scopeRead, operation(s.status)},
		{"GET /api/v1/clients", scopeRead, operation(s.clients)},
		{"GET /api/v1/clients/{id}", scopeRead, operation(s.client)},
		{"GET /api/v1/groups", scopeRead, operation(s.groups)},
		{"GET /api/v1/workers", scopeRead, operation(s.workers)},
		{"GET /api/v1/stats", scopeRead, operation(calls.rows)},
		{"GET /api/v1/stats/series", scopeRead, operation(calls.series)},
		{"GET /api/v1/stats/failures", scopeRead, operation(calls.failures)},
		{"GET /api/v1/stats/modules", scopeRead, operation(calls.modules)},
		{"GET /api/v1/stats/info", scopeRead, operation(calls.info)},
		{"POST /api/v1/stats/reports", scopeReport, http.HandlerFunc(calls.reports)},
		{"GET /api/v1/alerts", scopeRead, operation(alerts.view)},
		{"PUT /api/v1/alerts/rules/{name}", scopeOperate, operation(alerts.putRule)},
		{"DELETE /api/v1/alerts/rules/{name}", scopeOperate, operation(alerts.deleteRule)},
		{"POST /api/v1/alerts/silences", scopeOperate, operation(alerts.silence)},
		{"DELETE /api/v1/alerts/silences/{id}", scopeOperate, operation(alerts.endSilence)},
		{"POST /api/v1/alerts/test", scopeOperate, operation(alerts.test)},
		{"GET /api/v1/log-level", scopeRead, operation(s.logLevel)},
		{"POST /api/v1/publish", scopePublish, operation(s.publishing.publish)},
		{"POST /api/v1/kick", scopeOperate, operation(s.kick)},
		{"POST /api/v1/drain", scopeOperate, operation(s.drain)},
		{"POST /api/v1/rebalance", scopeOperate, operation(s.rebalance)},
		{"POST /api/v1/reload", scopeOperate, operation(s.reload)},
		{"PUT /api/v1/log-level", scopeOperate, operation(s.setLogLevel)},
	}
}

// requestTime is how long an operation may take. It is less than the server's write timeout.
const requestTime = 20 * time.Second

// ServeHTTP implements http.Handler.
func (o operation) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), requestTime)
	defer cancel()
	a, err := o(w, r.WithContext(ctx))
	if err != nil {
		fail(w, err)
		return
	}
	if later, ok := a.(accepted); ok {
		answer(w, http.StatusAccepted, later.body)
		return
	}
	answer(w, http.StatusOK, a)
}

//go:embed openapi.yaml
var openAPI []byte

// document answers GET /api/v1/openapi.yaml.
func document(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(openAPI)
}
