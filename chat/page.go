package chat

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html"
	"io/fs"
	"mime"
	"net/http"
	"path"
)

//go:embed page
var pageFiles embed.FS

// Page serves the chat's page: plain files, nothing from elsewhere, no script or style inside of the HTML. socket is the path on which WebSockets are opened; empty: /.
func Page(socket string) http.Handler {
	files, err := fs.Sub(pageFiles, "page")
	if err != nil { // the folder is part of the build
		panic(err)
	}
	return page{files, []byte(`data-socket="` + html.EscapeString(cmp.Or(socket, "/")) + `"`)}
}

type page struct {
	files  fs.FS
	socket []byte // what stands in index.html in place of data-socket="/"
}

// policy lets the page load only what is its own, and connect only to where it came from.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func (p page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := path.Clean(r.URL.Path)[1:]
	if name == "" {
		name = "index.html"
	}
	b, err := fs.ReadFile(p.files, name)
	if err != nil {
		http.Error(w, "there is no such page", http.StatusNotFound)
		return
	}
	b = bytes.Replace(b, []byte(`data-socket="/"`), p.socket, 1)
	sum := sha256.Sum256(b)
	tag := `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	h := w.Header()
	h.Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write(b) // fails only when the client has gone
}
