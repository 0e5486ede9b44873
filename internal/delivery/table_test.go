package delivery

import (
	"fmt"
	"strings"
)

// event is one of the Book's events, as a column of the table in ARCHITECTURE.md.
type event int

const (
	evOpen event = iota
	evMessage
	evAcknowledge
	evCredit
	evClose
	evReject
	evDrop
	evMove
	evLost
	evWorker
	evTick
	evTrial
	evOthers
	events
)

var eventNames = [events]string{
	"open", "message", "acknowledge", "credit", "close", "reject", "drop", "move", "lost", "worker", "tick", "trial",
	"others",
}

// table has the transitions that have happened: by state and event, the states that followed.
type table map[[2]int]*[states]bool

func (t table) note(from State, ev event, to State) {
	at := [2]int{int(from), int(ev)}
	if t[at] == nil {
		t[at] = new([states]bool)
	}
	t[at][to] = true
}

const tableHead = "| event | in state | becomes |\n|---|---|---|\n"

// String returns the table as in ARCHITECTURE.md: a row for each event and set of results.
func (t table) String() string {
	var b strings.Builder
	b.WriteString(tableHead)
	for ev := range int(events) {
		for from := range int(states) {
			to := t[[2]int{from, ev}]
			if to == nil {
				continue
			}
			var names []string
			for s, ok := range to {
				if ok && s == from {
					names = append(names, "same")
				} else if ok {
					names = append(names, State(s).String())
				}
			}
			fmt.Fprintf(&b, "| %s | %v | %s |\n", eventNames[ev], State(from), strings.Join(names, ", "))
		}
	}
	return b.String()
}

// documented returns the table in the text.
func documented(text string) string {
	i := strings.Index(text, tableHead)
	if i < 0 {
		return "no table"
	}
	table, _, _ := strings.Cut(text[i:], "\n\n")
	return strings.TrimSuffix(table, "\n") + "\n"
}
