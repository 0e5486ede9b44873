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

// Page serves the web page of the chat. The page loads nothing from other hosts and has no inline
// scripts or styles. socket is the path at which WebSockets are opened, or empty if any path will
// do. All addresses in the page are relative, and Page serves it in any folder. So a proxy may
// serve the page under any path, and may remove the path or keep it.
func Page(socket string) http.Handler {
	files, err := fs.Sub(pageFiles, "page")
	if err != nil { // impossible: the folder is embedded
		panic(err)
	}
	return page{files, socket}
}

type page struct {
	files  fs.FS
	socket string
}

// socketPlace is the attribute of index.html that Page replaces by the address of the socket.
const socketPlace = `data-socket="./"`

// socketFrom returns the socket's address relative to the path of a requested page.
func (p page) socketFrom(requested string) string {
	if p.socket == "" {
		return "./" // the page's own path, because a proxy forwards it
	}
	up := strings.Repeat("../", max(strings.Count(requested, "/"), 1)-1)
	return cmp.Or(up, "./") + strings.TrimPrefix(p.socket, "/")
}

// policy lets the page load only its own files, and connect only to its own origin.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func (p page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, name := path.Split(r.URL.Path)
	name = cmp.Or(name, "index.html")
	b, err := fs.ReadFile(p.files, name)
	if err != nil {
		http.Error(w, "page not found", http.StatusNotFound)
		return
	}
	socket := `data-socket="` + html.EscapeString(p.socketFrom(r.URL.Path)) + `"`
	b = bytes.Replace(b, []byte(socketPlace), []byte(socket), 1)
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
