// Package dashboard has the web page of the admin listener: what a gateway does now, what its
// workers' handlers did in the last two weeks, and which calls failed. The page loads nothing from
// other hosts. It gets all figures from the API of the listener, and knows no other way.
package dashboard

import (
	"embed"
	"io/fs"
	"net/http"
	"sync"

	"github.com/seed-7410fe32/sluice/internal/webpage"
)

//go:embed page
var pageFiles embed.FS

// assets reads and compresses the files of the page, the first time that it is called.
var assets = sync.OnceValue(func() *webpage.Page {
	folder, err := fs.Sub(pageFiles, "page")
	if err != nil { // impossible: the folder is embedded
		panic(err)
	}
	p, err := webpage.New(folder, webpage.Config{Below: "dashboard/"})
	if err != nil { // impossible: so are its files
		panic(err)
	}
	return p
})

// Handler serves the page: index.html at /, and its files below /dashboard/. None of them is
// secret. All addresses in the page are relative, so a proxy may serve it under any path.
func Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { assets().Serve(w, r, nil) })
}
