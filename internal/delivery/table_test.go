package delivery

import (
	"errors"
	"fmt"
	"slices"
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
	evAdopt
	evBlock
	evOthers
	events
)

var eventNames = [events]string{
	"open", "message", "acknowledge", "credit", "close", "reject", "drop", "move", "lost", "worker", "tick", "trial",
	"adopt", "block", "others",
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

// add adds the transitions of another table.
func (t table) add(other table) {
	for at, to := range other {
		for s, ok := range to {
			if ok {
				t.note(State(at[0]), event(at[1]), State(s))
			}
		}
	}
}

const tableHead = "| event | a client in this state: goes to one of these |\n|---|---|\n"

// rows returns the table as in ARCHITECTURE.md: for each event, the states in which it happens and
// what follows.
func (t table) rows() (rows [events][]string) {
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
			rows[ev] = append(rows[ev], fmt.Sprintf("%v: %s", State(from), strings.Join(names, ", ")))
		}
	}
	return rows
}

// String returns the table as in ARCHITECTURE.md.
func (t table) String() string {
	var b strings.Builder
	b.WriteString(tableHead)
	for ev, cells := range t.rows() {
		fmt.Fprintf(&b, "| %s | %s |\n", eventNames[ev], strings.Join(cells, "; "))
	}
	return b.String()
}

// documented returns the table in the text.
func documented(text string) (t table, err error) {
	_, text, ok := strings.Cut(text, tableHead)
	if !ok {
		return nil, errors.New("no table")
	}
	t = table{}
	rows, _, _ := strings.Cut(text, "\n\n")
	for line := range strings.Lines(rows) {
		cells := strings.Split(line, "|")
		ev := slices.Index(eventNames[:], strings.TrimSpace(cells[1]))
		for cell := range strings.SplitSeq(cells[2], ";") {
			name, results, _ := strings.Cut(strings.TrimSpace(cell), ": ")
			from := slices.Index(stateNames[:], name)
			for result := range strings.SplitSeq(results, ", ") {
				to := slices.Index(stateNames[:], result)
				if result == "same" {
					to = from
				}
				if ev < 0 || from < 0 || to < 0 {
					return nil, fmt.Errorf("%s: %q is unknown", cells[1], cell)
				}
				t.note(State(from), event(ev), State(to))
			}
		}
	}
	return t, nil
}

// missing returns what of another table is not in this one: pairs of state and event, and with
// results also what follows.
func (t table) missing(other table, results bool) (list []string) {
	for at, to := range other {
		mine := t[at]
		for s, ok := range to {
			if ok && (mine == nil || results && !mine[s]) {
				list = append(list, fmt.Sprintf("%s in %v: %v", eventNames[at[1]], State(at[0]), State(s)))
			}
		}
	}
	slices.Sort(list)
	return list
}
