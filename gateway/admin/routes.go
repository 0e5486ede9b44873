package admin

import (
	"context"
	_ "embed" // openapi.yaml
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxScrapes is how many scrapes of /metrics are answered at the same time.
const maxScrapes = 4

// newHandler returns the handler of all requests.
func newHandler(s *Server) (http.Handler, error) {
	registry, err := newRegistry(&collector{
		gateway: s.cfg.Gateway, version: s.cfg.Version, authFailures: s.guard.failures.Load,
	}, s.cfg.Collectors...)
	if err != nil {
		return nil, err
	}
	guarded := http.NewServeMux()
	guarded.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: maxScrapes, EnableOpenMetrics: true,
	}))
	guarded.HandleFunc("GET /debug/pprof/", pprof.Index)
	guarded.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	guarded.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	guarded.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	guarded.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	for _, e := range endpointsOf(s) {
		guarded.Handle(e.pattern, e.serve)
	}
	guarded.HandleFunc("GET /api/v1/openapi.yaml", document)
	all := http.NewServeMux()
	all.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { probe(w, nil) })
	all.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		probe(w, s.cfg.Gateway.Readiness())
	})
	all.Handle("/", s.guard.wrap(plainErrors(guarded)))
	return all, nil
}

// probe answers a probe. The body of a 503 has the reason.
func probe(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(err.Error() + "\n"))
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}

// operation answers a request of the API: with a value for JSON, or an error.
type operation func(w http.ResponseWriter, r *http.Request) (any, error)

// endpoint is one operation of the API.
type endpoint struct {
	pattern string
	serve   operation
}

// endpointsOf returns the operations of the API. openapi.yaml describes them.
func endpointsOf(s *Server) []endpoint {
	return []endpoint{
		{"GET /api/v1/status", s.status},
		{"GET /api/v1/clients", s.clients},
		{"GET /api/v1/clients/{id}", s.client},
		{"GET /api/v1/groups", s.groups},
		{"GET /api/v1/workers", s.workers},
		{"POST /api/v1/kick", s.kick},
		{"POST /api/v1/publish", s.publish},
		{"POST /api/v1/drain", s.drain},
		{"POST /api/v1/rebalance", s.rebalance},
		{"POST /api/v1/reload", s.reload},
		{"GET /api/v1/log-level", s.logLevel},
		{"PUT /api/v1/log-level", s.setLogLevel},
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
