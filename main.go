// Command sluice is a gateway/worker engine for long-lived connections: gateways hold the clients,
// workers run the business code.
package main

import (
	"os"

	"github.com/seed-7410fe32/sluice/internal/cli"
)

func main() { os.Exit(cli.Main()) }
