package dashboard_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"
)

type latency struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P95  float64 `json:"p95"`
	P99  float64 `json:"p99"`
	Max  float64 `json:"max"`
}

type what struct{ module, iface string }

var all = map[what]float64{ // calls a minute
	{"chat", "connect"}: 90, {"chat", "message"}: 5200, {"chat", "close"}: 88, {"chat", "room.join"}: 210,
	{"orders", "connect"}: 30, {"orders", "place"}: 640, {"orders", "cancel"}: 22, {"orders", "close"}: 30, {"orders", "timer"}: 120,
	{"billing", "charge"}: 44, {"billing", "refund"}: 1.5,
}

func at(w what, minute int64) (count, bad int, codes map[string]int, l latency) {
	h := float64((minute*2654435761+int64(len(w.iface)*7+len(w.module)*31))%1000&1023) / 1000
	day := 0.75 + 0.35*math.Sin(float64(minute%1440)/1440*2*math.Pi)
	count = int(all[w] * day * (0.85 + 0.3*math.Abs(h)))
	codes = map[string]int{}
	ago := time.Now().Unix()/60 - minute
	rate := 0.00002
	slow := 1.0
	if w.module == "orders" && ago > 22 && ago < 29 {
		rate, slow = 0.031, 9
	}
	if w.module == "orders" && minute%1440 > 700 && minute%1440 < 706 {
		rate = 0.013
	}
	if w.module == "billing" && minute%977 < 4 {
		rate = 0.006
	}
	if ago > 60*24*9 && ago < 60*24*9+40 {
		count = 0
	}
	bad = int(float64(count)*rate + math.Abs(h)*0.9*rate*30)
	bad = min(bad, count)
	if bad > 0 {
		codes["500"] = bad/4 + bad%2
		codes["1"] = bad / 8
		codes["4290"] = bad - codes["500"] - codes["1"]
	}
	base := (0.00012 + 0.0004*float64(len(w.iface)%4)) * (0.9 + 0.2*math.Abs(h)) * slow
	l = latency{base * 1.2, base, base * 2.1, base * 2.9, base * 6.5, base * 22}
	return
}

func canned(t *testing.T, to string) string {
	target, _ := url.Parse(to)
	mux := http.NewServeMux()
	mux.Handle("/", &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host }})
	when := func(s string, def time.Time) time.Time {
		if s == "" {
			return def
		}
		if d, err := time.ParseDuration(s); err == nil {
			return time.Now().Add(d)
		}
		n, _ := strconv.ParseInt(s, 10, 64)
		return time.Unix(n, 0)
	}
	names := func(r *http.Request) (ws []what) {
		for w := range all {
			if m := r.FormValue("module"); m != "" && m != w.module {
				continue
			}
			if m := r.FormValue("interface"); m != "" && m != w.iface {
				continue
			}
			ws = append(ws, w)
		}
		sort.Slice(ws, func(i, j int) bool { return ws[i].module+"\x00"+ws[i].iface < ws[j].module+"\x00"+ws[j].iface })
		return
	}
	out := func(w http.ResponseWriter, v any) { w.Header().Set("Content-Type", "application/json"); _ = json.NewEncoder(w).Encode(v) }
	mux.HandleFunc("GET /api/v1/stats", func(w http.ResponseWriter, r *http.Request) {
		from, to := when(r.FormValue("from"), time.Now().Add(-time.Hour)), when(r.FormValue("to"), time.Now())
		rows := []any{}
		for _, n := range names(r) {
			count, ok := 0, 0
			codes := map[string]int{}
			var l latency
			for m := from.Unix() / 60; m < to.Unix()/60; m++ {
				c, b, cs, ll := at(n, m)
				count, ok = count+c, ok+c-b
				for k, v := range cs {
					codes[k] += v
				}
				if ll.P99 > l.P99 {
					l = ll
				}
			}
			if count > 0 {
				rows = append(rows, map[string]any{"module": n.module, "interface": n.iface, "count": count, "success": ok, "codes": codes, "latency": l})
			}
		}
		out(w, map[string]any{"from": from, "to": to, "rows": rows})
	})
	mux.HandleFunc("GET /api/v1/stats/series", func(w http.ResponseWriter, r *http.Request) {
		from, to := when(r.FormValue("from"), time.Now().Add(-time.Hour)), when(r.FormValue("to"), time.Now())
		step, _ := strconv.ParseInt(r.FormValue("step"), 10, 64)
		points := []any{}
		for s := from.Unix() / step * step; s < to.Unix(); s += step {
			count, ok := 0, 0
			codes := map[string]int{}
			var l latency
			n := 0.0
			for _, x := range names(r) {
				for m := s / 60; m < (s+step)/60 && m*60 < to.Unix(); m += max(step/600, 1) {
					c, b, cs, ll := at(x, m)
					k := int(max(step/600, 1))
					if left := time.Now().Unix() - m*60; left < 60 {
						c = c * int(left) / 60
						b = min(b, c)
					}
					count, ok = count+c*k, ok+(c-b)*k
					for k, v := range cs {
						codes[k] += v
					}
					l.P50 += ll.P50
					l.P95 += ll.P95
					l.P99 += ll.P99
					l.Max = max(l.Max, ll.Max)
					n++
				}
			}
			if n > 0 {
				l.P50, l.P95, l.P99 = l.P50/n, l.P95/n, l.P99/n
			}
			points = append(points, map[string]any{"time": time.Unix(s, 0).UTC(), "count": count, "success": ok, "codes": codes, "latency": l})
		}
		out(w, map[string]any{"from": from, "to": to, "step": step, "points": points})
	})
	mux.HandleFunc("GET /api/v1/stats/modules", func(w http.ResponseWriter, r *http.Request) {
		by := map[string][]string{}
		for _, n := range names(r) {
			by[n.module] = append(by[n.module], n.iface)
		}
		ms := []any{}
		for _, m := range []string{"billing", "chat", "orders"} {
			ms = append(ms, map[string]any{"module": m, "interfaces": by[m]})
		}
		out(w, map[string]any{"modules": ms})
	})
	texts := []string{"payment provider: timeout after 3 s", "order 81723: stock has changed", "panic: runtime error: index out of range [3] with length 3\n\ngoroutine 88 [running]:\nmain.place(...)\n\torders/place.go:71", "rate limit of user 20142"}
	mux.HandleFunc("GET /api/v1/stats/failures", func(w http.ResponseWriter, r *http.Request) {
		from, to := when(r.FormValue("from"), time.Now().Add(-time.Hour)), when(r.FormValue("to"), time.Now())
		limit, _ := strconv.Atoi(r.FormValue("limit"))
		skip, _ := strconv.Atoi(r.FormValue("cursor"))
		fs := []any{}
		next := ""
		i := 0
		for m := to.Unix() / 60; m >= from.Unix()/60 && m > to.Unix()/60-3000; m-- {
			for _, n := range names(r) {
				_, b, _, _ := at(n, m)
				for k := range min(b, 6) {
					code := []int{4290, 500, 4290, 1}[(int(m)+k)%4]
					text := texts[(int(m)+k)%4]
					if c := r.FormValue("code"); c != "" && c != fmt.Sprint(code) {
						continue
					}
					if x := r.FormValue("text"); x != "" && !strings.Contains(text, x) {
						continue
					}
					i++
					if i <= skip {
						continue
					}
					if len(fs) >= limit {
						next = fmt.Sprint(skip + limit)
						continue
					}
					fs = append(fs, map[string]any{"time": time.Unix(m*60+int64(50-k*7), int64(k*137e6)).UTC(), "module": n.module, "interface": n.iface,
						"code": code, "addr": fmt.Sprintf("192.0.2.%d:%d", (int(m)+k*3)%250, 40000+k*971), "text": text, "node": "worker-2"})
				}
			}
		}
		out(w, map[string]any{"failures": fs, "next": next})
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL + "/"
}
