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
	"strings"
)

//go:embed page
var pageFiles embed.FS

// Page serves the chat's page: plain files, nothing from elsewhere, no script or style inside of the HTML. socket is the path on which WebSockets are opened; empty: any. All
// addresses in the page are relative to its own, and it is served in any folder: a proxy may have it under whatever path, and may take that off or leave it.
func Page(socket string) http.Handler {
	files, err := fs.Sub(pageFiles, "page")
	if err != nil { // the folder is part of the build
		panic(err)
	}
	return page{files, socket}
}

type page struct {
	files  fs.FS
	socket string
}

// socketPlace is what stands in index.html for the socket's address.
const socketPlace = `data-socket="./"`

// socketFrom is the socket's address, relative to a page that was asked for by a path.
func (p page) socketFrom(asked string) string {
	if p.socket == "" {
		return "./" // any path will do: the page's is one that a proxy has
	}
	up := strings.Repeat("../", max(strings.Count(asked, "/"), 1)-1)
	return cmp.Or(up, "./") + strings.TrimPrefix(p.socket, "/")
}

// policy lets the page load only what is its own, and connect only to where it came from.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func (p page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, name := path.Split(r.URL.Path)
	name = cmp.Or(name, "index.html")
	b, err := fs.ReadFile(p.files, name)
	if err != nil {
		http.Error(w, "there is no such page", http.StatusNotFound)
		return
	}
	b = bytes.Replace(b, []byte(socketPlace), []byte(`data-socket="`+html.EscapeString(p.socketFrom(r.URL.Path))+`"`), 1)
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
