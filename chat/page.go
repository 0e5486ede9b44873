package chat

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

//go:embed page
var pageFiles embed.FS

// Page serves the web page of the chat. The page loads nothing from other hosts and has no inline
// scripts or styles. socket is the path at which WebSockets are opened, or empty if any path will
// do. All addresses in the page are relative, and Page serves it in any folder. So a proxy may
// serve the page under any path, and may remove the path or keep it.
//
// index.html contains the styles, and names the other files in a folder whose name is a hash of
// all of them. Browsers keep these files for a year, and ask for index.html each time. Files are
// sent with gzip to browsers that accept it.
func Page(socket string) http.Handler { return page{assets(), socket} }

type page struct {
	*files
	socket string
}

// files are the files of the page as they are sent.
type files struct {
	folder string // of the present version
	policy string // Content-Security-Policy
	byName map[string]file
}

type file struct {
	plain, packed []byte // packed is gzip
	tag           string
	kind          string // Content-Type
}

// indexFile is the file whose contents depend on the path that is asked for.
const indexFile = "index.html"

// styleFile is part of index.html as it is sent, so that a browser draws the page when its first
// answer has arrived. stylePlace is the element that it takes the place of.
const (
	styleFile  = "chat.css"
	stylePlace = `<link rel="stylesheet" href="chat.css">`
)

// socketPlace is the attribute of index.html that Page replaces by the address of the socket.
const socketPlace = `data-socket="./"`

// assets reads and compresses the files of the page, the first time that it is called.
var assets = sync.OnceValue(func() *files {
	f := &files{byName: make(map[string]file)}
	all := sha256.New()
	entries, err := pageFiles.ReadDir("page") // sorted
	if err != nil {                           // impossible: the folder is embedded
		panic(err)
	}
	for _, e := range entries {
		b, err := fs.ReadFile(pageFiles, path.Join("page", e.Name()))
		if err != nil { // impossible: so is the file
			panic(err)
		}
		_, _ = all.Write(b)
		if path.Ext(e.Name()) == ".js" {
			b = comments.ReplaceAll(b, nil)
		}
		f.byName[e.Name()] = newFile(e.Name(), b)
	}
	f.folder = hex.EncodeToString(all.Sum(nil)[:8])
	index := f.byName[indexFile].plain
	for name := range f.byName {
		for _, attribute := range []string{"href", "src", "data-read", "data-unread"} {
			plain, hashed := " "+attribute+`="`+name+`"`, " "+attribute+`="`+f.folder+"/"+name+`"`
			if name != styleFile {
				index = bytes.ReplaceAll(index, []byte(plain), []byte(hashed))
			}
		}
	}
	styles := f.byName[styleFile].plain
	f.byName[indexFile] = file{plain: bytes.Replace(index, []byte(stylePlace), slices.Concat(
		[]byte("<style>"), styles, []byte("</style>")), 1)}
	sum := sha256.Sum256(styles)
	f.policy = fmt.Sprintf(policy, base64.StdEncoding.EncodeToString(sum[:]))
	return f
})

// comments are the comments of scripts, which are half as long again as what browsers need. No
// text in a script has a line that begins with two slashes.
var comments = regexp.MustCompile(`(?m)^[ \t]*//.*\n`)

func newFile(name string, b []byte) file {
	sum := sha256.Sum256(b)
	return file{
		plain: b, packed: pack(b), tag: `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`,
		kind: cmp.Or(mime.TypeByExtension(path.Ext(name)), "application/octet-stream"),
	}
}

func pack(b []byte) []byte {
	var packed bytes.Buffer
	w, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression) // the level is valid
	_, _ = w.Write(b)                                          // a buffer takes everything
	_ = w.Close()
	return packed.Bytes()
}

// socketFrom returns the socket's address relative to the path of a requested page.
func (p page) socketFrom(requested string) string {
	if p.socket == "" {
		return "./" // the page's own path, because a proxy forwards it
	}
	up := strings.Repeat("../", max(strings.Count(requested, "/"), 1)-1)
	return cmp.Or(up, "./") + strings.TrimPrefix(p.socket, "/")
}

// policy lets the page load only its own files and the styles of index.html, whose hash it names,
// and connect only to its own origin. The page makes no elements and no scripts of text.
const policy = "default-src 'none'; script-src 'self'; style-src 'sha256-%s'; img-src 'self'; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'; trusted-types 'none'"

// headers of each answer.
var headers = map[string]string{
	"X-Content-Type-Options":       "nosniff",
	"Referrer-Policy":              "no-referrer",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=(), serial=(), bluetooth=(), " +
		"display-capture=(), browsing-topics=()",
}

func (p page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	for name, value := range headers {
		h.Set(name, value)
	}
	h.Set("Content-Security-Policy", p.policy)
	folder, name := path.Split(r.URL.Path)
	name = cmp.Or(name, indexFile)
	f, ok := p.byName[name]
	if !ok {
		http.Error(w, "page not found", http.StatusNotFound)
		return
	}
	if name == indexFile {
		socket := `data-socket="` + html.EscapeString(p.socketFrom(r.URL.Path)) + `"`
		f = newFile(name, bytes.Replace(f.plain, []byte(socketPlace), []byte(socket), 1))
	}
	h.Set("Cache-Control", "no-cache")
	if path.Base(folder) == p.folder && name != indexFile {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	h.Set("Content-Type", f.kind)
	h.Set("ETag", f.tag)
	h.Set("Vary", "Accept-Encoding")
	if r.Header.Get("If-None-Match") == f.tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	b := f.plain
	if acceptsGzip(r) {
		b = f.packed
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Length", strconv.Itoa(len(b)))
	_, _ = w.Write(b) // fails only when the client has gone
}

// acceptsGzip reports whether a browser accepts gzip. A client with a weight for it gets the plain
// file, which is always right.
func acceptsGzip(r *http.Request) bool {
	for encoding := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		if strings.TrimSpace(encoding) == "gzip" {
			return true
		}
	}
	return false
}
