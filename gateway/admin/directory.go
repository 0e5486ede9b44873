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

// directoryNote says what is wrong with the directory: it does not answer, and why, or another
// gateway has the same address there. It is empty if nothing is.
func directoryNote(g *gateway.Gateway) string {
	since, why := g.Control().DirectoryDown()
	if since.IsZero() {
		if same := g.Control().SameAddress(); len(same) > 0 {
			return fmt.Sprintf("gateway %d has the same address in the directory: give each its own (--advertise)", same[0])
		}
		return ""
	}
	return fmt.Sprintf("the directory has not answered for %.0f s (%v); clients and links are not affected",
		time.Since(since).Seconds(), why)
}
