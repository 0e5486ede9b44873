package webpage_test

import (
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/seed-7410fe32/sluice/internal/webpage"
)

func get(t *testing.T, p *webpage.Page, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	p.Serve(w, httptest.NewRequest(http.MethodGet, path, nil), nil)
	return w
}

func files() fstest.MapFS {
	return fstest.MapFS{
		"index.html": {Data: []byte(`<link rel="stylesheet" href="a.css"><script src="a.js"></script>` +
			`<p data-x="a.js" id="a.js">`)},
		"a.css":   {Data: []byte("p { color: red; }")},
		"a.js":    {Data: []byte("// why\nf(); // stays\n  // why not\ng();\n")},
		"f.woff2": {Data: []byte("font")},
	}
}

// index.html names its files in a folder that changes with them, and only in the attributes.
func TestAddresses(t *testing.T) {
	t.Parallel()
	changed := files()
	changed["f.woff2"] = &fstest.MapFile{Data: []byte("another font")}
	var folders []string
	for _, all := range []fstest.MapFS{files(), changed} {
		p, err := webpage.New(all, webpage.Config{Below: "page/", Attributes: []string{"data-x"}})
		if err != nil {
			t.Fatal(err)
		}
		body := get(t, p, "/").Body.String()
		_, after, _ := strings.Cut(body, `src="page/`)
		folder, _, _ := strings.Cut(after, "/")
		want := strings.ReplaceAll(`<link rel="stylesheet" href="page/F/a.css"><script src="page/F/a.js"></script>`+
			`<p data-x="page/F/a.js" id="a.js">`, "F", folder)
		if len(folder) != 16 || body != want {
			t.Errorf("index.html is %s", body)
		}
		w := get(t, p, "/page/"+folder+"/a.js")
		if !strings.Contains(w.Header().Get("Cache-Control"), "immutable") || w.Body.String() != "f(); // stays\ng();\n" {
			t.Errorf("a.js: %v %q", w.Header(), w.Body)
		}
		folders = append(folders, folder)
	}
	if folders[0] == folders[1] {
		t.Error("another file does not change the folder")
	}
	p, err := webpage.New(files(), webpage.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if kind := get(t, p, "/x/f.woff2").Header().Get("Content-Type"); kind != "font/woff2" {
		t.Errorf("a font is %s", kind)
	}
	if w := get(t, p, "/x/nothing"); w.Code != http.StatusNotFound || w.Header().Get("Content-Security-Policy") == "" {
		t.Errorf("what is not there: %d %v", w.Code, w.Header())
	}
}

// Styles that are part of index.html are allowed by their hash, and no others.
func TestStyles(t *testing.T) {
	t.Parallel()
	p, err := webpage.New(files(), webpage.Config{Styles: "a.css"})
	if err != nil {
		t.Fatal(err)
	}
	w := get(t, p, "/")
	policy := w.Header().Get("Content-Security-Policy")
	if !strings.Contains(w.Body.String(), "<style>p { color: red; }</style>") ||
		!strings.Contains(policy, "style-src 'sha256-") || strings.Contains(policy, "unsafe") {
		t.Errorf("%s: %s", policy, w.Body)
	}
	for _, cfg := range []webpage.Config{{Styles: "b.css"}, {}} {
		all := files()
		if cfg.Styles == "" {
			delete(all, webpage.Index)
		}
		if _, err := webpage.New(all, cfg); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}
