package admin

import (
	"net/http"
	"net/http/pprof"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// maxScrapes is how many scrapes of /metrics are answered at the same time.
const maxScrapes = 4

// handler returns the handler of all requests.
func (s *Server) handler() (http.Handler, error) {
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
	for _, e := range s.endpoints() {
		guarded.HandleFunc(e.pattern, e.serve)
	}
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

// endpoint is one operation of the API.
type endpoint struct {
	pattern string
	serve   http.HandlerFunc
}

// endpoints are the operations of the API. openapi.yaml describes them.
func (s *Server) endpoints() []endpoint {
	return []endpoint{
		{"GET /api/v1/status", s.status},
	}
}
