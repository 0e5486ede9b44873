package cli

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/seed-7410fe32/sluice/internal/doctor"
)

// errHurts is returned when a limit of the machine hurts.
var errHurts = errors.New("limits of this machine hurt")

// diagnosis is what the command doctor prints with --json.
type diagnosis struct {
	Clients  int       `json:"clients"`
	Findings []finding `json:"findings"`
}

type finding struct {
	doctor.Finding
	Hurts bool `json:"hurts"`
}

func doctorCommand() *cobra.Command {
	var clients int
	a := new(adminClient)
	c := &cobra.Command{
		Use:   "doctor",
		Short: "say which limits of this machine hurt a gateway, and how to raise them",
		Long: `Look at the limits of this machine and this user: descriptors, backlogs, ports, connection tracking,
memory, CPU quota and swap. For each limit it prints the number of clients above which it hurts, and
the command that mends it. The exit code is 1 if one hurts with --clients.`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := noZeros(c.Flags()); err != nil {
				return err
			}
			if clients < 0 {
				return usageError{fmt.Errorf("--clients: %d: must be at least 1", clients)}
			}
			return a.diagnose(clients)
		},
	}
	c.Flags().IntVar(&clients, "clients", 10_000, "`number` of clients that the gateway is to hold")
	c.Flags().BoolVar(&a.json, "json", false, "print JSON")
	return c
}

// diagnose prints the findings.
func (a *adminClient) diagnose(clients int) error {
	m := doctor.Machine{Root: os.DirFS("/"), Processors: runtime.NumCPU()}
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) == nil {
		m.Files = uint64(l.Cur) //nolint:unconvert // it is signed on FreeBSD
	}
	d := diagnosis{Clients: clients, Findings: []finding{}}
	hurt := 0
	for _, f := range doctor.Examine(m) {
		hurts := f.Hurts(clients)
		if hurts {
			hurt++
		}
		d.Findings = append(d.Findings, finding{f, hurts})
	}
	if err := a.print(d, func() error { return printDiagnosis(&d) }); err != nil {
		return err
	}
	if hurt > 0 {
		return fmt.Errorf("%w: %d with %d clients", errHurts, hurt, clients)
	}
	return nil
}

func printDiagnosis(d *diagnosis) error {
	rows := [][]string{{"CHECK", "NOW", "HURTS ABOVE", ""}}
	for i := range d.Findings {
		f := &d.Findings[i]
		above, verdict := strconv.Itoa(f.Limit)+" clients", "ok"
		switch {
		case f.Limit < 0:
			above = "never"
		case f.Limit == 0:
			above = "always"
		}
		if f.Hurts {
			verdict = "HURTS"
		}
		rows = append(rows, []string{f.Check, f.Now, above, verdict})
	}
	if err := table(rows...); err != nil {
		return err
	}
	for i := range d.Findings {
		if f := &d.Findings[i]; f.Hurts {
			if err := printf("\n%s: %s.\n  %s\n", f.Check, f.Effect, f.Mend); err != nil {
				return err
			}
		}
	}
	return nil
}
