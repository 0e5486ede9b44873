package admin_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// contract checks requests and answers against the document that the server serves.
type contract struct {
	*fixture
	router routers.Router
	asked  map[string]bool // operations
}

func newContract(t *testing.T, f *fixture) *contract {
	t.Helper()
	status, text := f.request(http.MethodGet, "/api/v1/openapi.yaml", "")
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	doc, err := openapi3.NewLoader().LoadFromData([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatalf("openapi.yaml: %v", err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &contract{f, router, make(map[string]bool)}
}

// asks sends a request. The request, if it is answered with less than 400, and the answer must be
// what the document says.
func (c *contract) asks(method, path, body string, want int) (answer string) {
	c.t.Helper()
	r, err := http.NewRequest(method, c.url+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+secret)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	relative := r.Clone(context.Background())
	relative.URL.Scheme, relative.URL.Host, relative.Host = "", "", ""
	relative.Body = io.NopCloser(strings.NewReader(body))
	route, params, err := c.router.FindRoute(relative)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	c.asked[route.Operation.OperationID] = true
	in := &openapi3filter.RequestValidationInput{Request: relative, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
			IncludeResponseStatus: true}}
	invalid := openapi3filter.ValidateRequest(c.t.Context(), in)
	status, header, answer := c.do(r)
	if status != want {
		c.t.Errorf("%s %s: %d, want %d: %s", method, path, status, want, answer)
	}
	if status < 400 && invalid != nil {
		c.t.Errorf("%s %s is accepted, and the document does not allow it: %v", method, path, invalid)
	}
	err = openapi3filter.ValidateResponse(c.t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: status, Header: header, Options: in.Options,
		Body: io.NopCloser(bytes.NewReader([]byte(answer))),
	})
	if err != nil {
		c.t.Errorf("%s %s: the answer %s: %v", method, path, answer, err)
	}
	return answer
}

// What the server answers is what its OpenAPI document says, for each operation.
func TestTheDocumentIsKept(t *testing.T) {
	t.Parallel()
	keeper, keeps := keeping(t)
	f := start(t, both(keeps, alerting(t, keeper)))
	f.worker()
	if err := keeper.Take(t.Context(), sampleReport(1)); err != nil {
		t.Fatal(err)
	}
	c := newContract(t, f)
	f.dial("join room", "uid ada", "attr x")
	id := f.clients("")[0].ID
	c.asks("GET", "/status", "", 200)
	c.asks("GET", "/clients", "", 200)
	c.asks("GET", "/clients?uid=ada&group=room&addr=127.0.0.0%2F8&slow=false&limit=1", "", 200)
	c.asks("GET", "/clients?cursor=wrong", "", 400)
	c.asks("GET", "/clients/"+id, "", 200)
	c.asks("GET", "/clients/nobody", "", 400)
	c.asks("GET", "/clients/"+strings.Repeat("0", 26), "", 404)
	c.asks("GET", "/groups?prefix=r", "", 200)
	c.asks("GET", "/workers", "", 200)
	c.asks("GET", "/stats", "", 200)
	c.asks("GET", "/stats?module=chat&interface=message&from=-14d&to=-1m", "", 200)
	c.asks("GET", "/stats?from=2026-01-02T03:04:05Z&to=1780000000", "", 200)
	for _, wrong := range []string{"from=yesterday", "to=1h", "from=-1m&to=-2m", "from=-1", "when=now", "to=99999999999"} {
		c.asks("GET", "/stats?"+wrong, "", 400)
	}
	c.asks("GET", "/stats/series?from=-30m&step=120", "", 200)
	c.asks("GET", "/stats/series?from=-14d", "", 200)
	c.asks("GET", "/stats/series?from=-14d&step=60", "", 400)
	c.asks("GET", "/stats/series?step=90", "", 400)
	c.asks("GET", "/stats/series?step=1", "", 400)
	c.asks("GET", "/stats/failures?module=chat&code=7&addr=10.0.0.1&text=wrong&limit=1", "", 200)
	c.asks("GET", "/stats/failures?cursor=wrong", "", 400)
	c.asks("GET", "/stats/failures?code=-1", "", 400)
	c.asks("GET", "/stats/modules", "", 200)
	c.asks("GET", "/stats/info", "", 200)
	c.asks("POST", "/stats/reports", `{}`, 415)
	c.asks("PUT", "/alerts/rules/slow%20ones", `{"metric":"p99","above":0.000001,"window":60}`, 200)
	c.asks("PUT", "/alerts/rules/silent", `{"metric":"no_data","for":60}`, 200)
	c.asks("PUT", "/alerts/rules/wrong", `{"metric":"p99"}`, 400)
	c.asks("PUT", "/alerts/rules/of%20the%20file", `{"metric":"no_data"}`, 409)
	c.asks("POST", "/alerts/silences", `{"module":"chat","seconds":60,"comment":"a test"}`, 200)
	c.asks("POST", "/alerts/silences", `{"seconds":60}`, 400)
	c.asks("POST", "/alerts/silences", `{"rule":"silent"}`, 400)
	c.asks("GET", "/alerts", "", 200)
	c.asks("POST", "/alerts/test", `{}`, 200)
	c.asks("POST", "/alerts/test", `{"webhook":"nobody"}`, 404)
	c.asks("DELETE", "/alerts/silences/s1", "", 200)
	c.asks("DELETE", "/alerts/silences/s1", "", 404)
	c.asks("DELETE", "/alerts/rules/silent", "", 200)
	c.asks("DELETE", "/alerts/rules/silent", "", 404)
	c.asks("DELETE", "/alerts/rules/of%20the%20file", "", 409)
	c.asks("POST", "/publish", `{"group":"room","text":"hello"}`, 200)
	c.asks("POST", "/publish", `{"all":true,"data":"AAE=","local":true}`, 200)
	c.asks("POST", "/publish", `{"all":true}`, 400)
	c.asks("POST", "/publish", `{"group":"room","json":{"a":[1,null]}}`, 200)
	c.asks("POST", "/publish", `{"messages":[{"uid":"ada","text":"x"},{"uid":"ada"}]}`, 200)
	c.asks("POST", "/publish", `{"messages":[]}`, 400)
	c.asks("POST", "/kick", `{"client":"`+id+`","code":4001,"reason":"bye"}`, 200)
	c.asks("POST", "/kick", `{"client":"`+id+`"}`, 404)
	c.asks("POST", "/kick", `{"uid":"nobody"}`, 200)
	c.asks("POST", "/kick", `{"unknown":1}`, 400)
	c.asks("GET", "/log-level", "", 200)
	c.asks("PUT", "/log-level", `{"level":"debug"}`, 200)
	c.asks("PUT", "/log-level", `{"level":"loud"}`, 400)
	c.asks("POST", "/rebalance", `{"rate":-1}`, 400)
	c.asks("POST", "/rebalance", `{}`, 409)
	c.asks("POST", "/reload", "", 501)
	c.asks("POST", "/drain", "", 202)
	c.asks("GET", "/openapi.yaml", "", 200)
	<-f.drained
	doc := f.plainDocument()
	for _, item := range doc.Paths.Map() {
		for _, o := range item.Operations() {
			if !c.asked[o.OperationID] {
				t.Errorf("the operation %s is not tested", o.OperationID)
			}
		}
	}
}

func (f *fixture) plainDocument() *openapi3.T {
	f.t.Helper()
	_, text := f.request(http.MethodGet, "/api/v1/openapi.yaml", "")
	doc, err := openapi3.NewLoader().LoadFromData([]byte(text))
	if err != nil {
		f.t.Fatal(err)
	}
	return doc
}
