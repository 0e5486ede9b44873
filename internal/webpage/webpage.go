// Package webpage serves the files of a web page that is part of the program.
package webpage

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Index is the name of the file that names the others.
const Index = "index.html"

// Page are the files of a page as they are sent. It has no state, and any goroutine may use it.
//
// index.html names its files in a folder whose name is a hash of all of them. Browsers keep these
// files for a year, and ask for index.html each time. Files are sent with gzip to browsers that
// accept it.
type Page struct {
	folder string // of the present version
	policy string // Content-Security-Policy
	byName map[string]file
}

// Config says how index.html refers to the other files: by their names in href, src and further
// attributes.
type Config struct {
	Attributes []string
	// Below is the path below which the other files are served, relative to index.html. It is empty
	// or ends with a slash.
	Below string
	// Styles is the style sheet that is part of index.html as it is sent, in the place of its link,
	// so that a browser draws the page when its first answer has arrived. Empty: none.
	Styles string
}

type file struct {
	plain, packed []byte // packed is gzip
	tag           string
	kind          string // Content-Type
}

// policy lets a page load only its own files, and connect only to its own origin. The page makes no
// elements and no scripts of text. %s are the styles that it may have.
const policy = "default-src 'none'; script-src 'self'; style-src %s; img-src 'self'; font-src 'self'; " +
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

// kinds are those that the tables of systems lack or disagree about.
var kinds = map[string]string{
	".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".woff2": "font/woff2",
	".txt": "text/plain; charset=utf-8",
}

// New reads and compresses the files of a folder. index.html has to be there, and cfg.Styles.
func New(folder fs.FS, cfg Config) (*Page, error) {
	p := &Page{byName: make(map[string]file), policy: fmt.Sprintf(policy, "'self'")}
	entries, err := fs.ReadDir(folder, ".") // sorted
	if err != nil {
		return nil, err
	}
	all := sha256.New()
	for _, e := range entries {
		b, err := fs.ReadFile(folder, e.Name())
		if err != nil {
			return nil, err
		}
		_, _ = all.Write(b)
		if path.Ext(e.Name()) == ".js" {
			b = comments.ReplaceAll(b, nil)
		}
		p.byName[e.Name()] = newFile(e.Name(), b)
	}
	p.folder = hex.EncodeToString(all.Sum(nil)[:8])
	for _, name := range []string{Index, cmp.Or(cfg.Styles, Index)} {
		if _, ok := p.byName[name]; !ok {
			return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
		}
	}
	p.byName[Index] = newFile(Index, p.index(cfg))
	return p, nil
}

// index returns index.html with the addresses of the other files, and with the styles that are part
// of it.
func (p *Page) index(cfg Config) []byte {
	text := p.byName[Index].plain
	if cfg.Styles != "" {
		styles := p.byName[cfg.Styles].plain
		text = bytes.Replace(text, []byte(`<link rel="stylesheet" href="`+cfg.Styles+`">`),
			slices.Concat([]byte("<style>"), styles, []byte("</style>")), 1)
		sum := sha256.Sum256(styles)
		p.policy = fmt.Sprintf(policy, "'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
	}
	for name := range p.byName {
		for _, attribute := range append(cfg.Attributes, "href", "src") {
			plain := " " + attribute + `="` + name + `"`
			hashed := " " + attribute + `="` + cfg.Below + p.folder + "/" + name + `"`
			text = bytes.ReplaceAll(text, []byte(plain), []byte(hashed))
		}
	}
	return text
}

// comments are the comments of scripts, which are half as long again as what browsers need. No
// text in a script has a line that begins with two slashes.
var comments = regexp.MustCompile(`(?m)^[ \t]*//.*\n`)

func newFile(name string, b []byte) file {
	sum := sha256.Sum256(b)
	ext := path.Ext(name)
	return file{
		plain: b, packed: pack(b), tag: `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`,
		kind: cmp.Or(kinds[ext], mime.TypeByExtension(ext), "application/octet-stream"),
	}
}

func pack(b []byte) []byte {
	var packed bytes.Buffer
	w, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression) // the level is valid
	_, _ = w.Write(b)                                          // a buffer takes everything
	_ = w.Close()
	return packed.Bytes()
}

// Serve answers a request with the file that the last part of its path names, in whichever folder;
// with index.html if that part is empty. change, if it is not nil, returns what index.html is for
// this request.
func (p *Page) Serve(w http.ResponseWriter, r *http.Request, change func(index []byte) []byte) {
	h := w.Header()
	for name, value := range headers {
		h.Set(name, value)
	}
	h.Set("Content-Security-Policy", p.policy)
	folder, name := path.Split(r.URL.Path)
	name = cmp.Or(name, Index)
	f, ok := p.byName[name]
	if !ok {
		http.Error(w, "page not found", http.StatusNotFound)
		return
	}
	if name == Index && change != nil {
		f = newFile(name, change(f.plain))
	}
	h.Set("Cache-Control", "no-cache")
	if path.Base(folder) == p.folder && name != Index {
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
