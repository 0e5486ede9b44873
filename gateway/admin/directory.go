package admin

import (
	"fmt"
	"time"

	"github.com/seed-7410fe32/sluice/gateway"
)

// directoryFigures are the metrics of gateway.Config.Directory. They are 0 without one.
var directoryFigures = []figure{
	{"Up", "sluice_directory_up", "1 if the directory answers."},
	{"Leased", "sluice_directory_leased", "1 if the gateway has the lease of its id."},
	{"Reclaimed", "sluice_directory_reclaimed_total",
		"Times that the gateway has taken its lease again, because it was lost."},
	{"Commands", "sluice_directory_commands_total", "Calls that were sent to the directory."},
	{"Errors", "sluice_directory_errors_total", "Calls of the directory that have failed."},
	{"Refused", "sluice_directory_refused_total",
		"Calls that failed at once because the directory did not answer before."},
	{"Outages", "sluice_directory_outages_total", "Times that the directory has stopped to answer."},
}

// directoryNote says that the directory does not answer. It is empty if it does, or there is none.
func directoryNote(g *gateway.Gateway) string {
	since := g.Control().DirectoryDown()
	if since.IsZero() {
		return ""
	}
	return fmt.Sprintf("the directory has not answered for %.0f s; clients and links are not affected",
		time.Since(since).Seconds())
}
