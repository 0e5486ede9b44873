package chat

import (
	"bytes"
	"cmp"
	"embed"
	"html"
	"io/fs"
	"net/http"
	"strings"
	"sync"

	"github.com/seed-7410fe32/sluice/internal/webpage"
)

//go:embed page
var pageFiles embed.FS

// Page serves the web page of the chat. The page loads nothing from other hosts and has no inline
// scripts. socket is the path at which WebSockets are opened, or empty if any path will do. All
// addresses in the page are relative, and Page serves it in any folder. So a proxy may serve the
// page under any path, and may remove the path or keep it.
//
// index.html contains the styles, and names the other files in a folder whose name is a hash of
// all of them. Browsers keep these files for a year, and ask for index.html each time. Files are
// sent with gzip to browsers that accept it.
func Page(socket string) http.Handler { return page{assets(), socket} }

type page struct {
	files  *webpage.Page
	socket string
}

// socketPlace is the attribute of index.html that Page replaces by the address of the socket.
const socketPlace = `data-socket="./"`

// assets reads and compresses the files of the page, the first time that it is called.
var assets = sync.OnceValue(func() *webpage.Page {
	folder, err := fs.Sub(pageFiles, "page")
	if err != nil { // impossible: the folder is embedded
		panic(err)
	}
	p, err := webpage.New(folder, webpage.Config{Attributes: []string{"data-read", "data-unread"}, Styles: "chat.css"})
	if err != nil { // impossible: so are its files
		panic(err)
	}
	return p
})

// socketFrom returns the socket's address relative to the path of a requested page.
func (p page) socketFrom(requested string) string {
	if p.socket == "" {
		return "./" // the page's own path, because a proxy forwards it
	}
	up := strings.Repeat("../", max(strings.Count(requested, "/"), 1)-1)
	return cmp.Or(up, "./") + strings.TrimPrefix(p.socket, "/")
}

func (p page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.files.Serve(w, r, func(index []byte) []byte {
		socket := `data-socket="` + html.EscapeString(p.socketFrom(r.URL.Path)) + `"`
		return bytes.Replace(index, []byte(socketPlace), []byte(socket), 1)
	})
}
