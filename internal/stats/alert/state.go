package alert

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const maxState = 16 << 20 // bytes of the file

// state is what the file has.
type state struct {
	Version  int       `json:"version"`
	Serial   uint64    `json:"serial"`
	Rules    []Rule    `json:"rules"`    // bound: none, maxRules
	Silences []Silence `json:"silences"` // bound: none, maxSilences
	Active   []Alert   `json:"active"`   // bound: none, maxAlerts
	Recent   []Alert   `json:"recent"`   // bound: none, maxRecent
	// Waiting are the notifications that a webhook has not taken, by its name. One of them may have
	// been sent; receivers know it by its id.
	Waiting map[string][]Alert `json:"waiting"` // bound: none, one entry for each webhook
}

// load reads the state, and returns it. A file that is damaged is put aside.
func (a *Alerts) load() (s state, err error) {
	if a.cfg.State == "" {
		return s, nil
	}
	b, err := readUpTo(a.cfg.State, maxState)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("alert: %w", err)
	}
	if err := json.Unmarshal(b, &s); err != nil || s.Version != 1 {
		aside := a.cfg.State + ".damaged"
		a.cfg.Logger.Error("the file of alerts cannot be read, and is put aside", "file", aside, "err", err)
		return state{}, os.Rename(a.cfg.State, aside)
	}
	a.serial, a.rules, a.silence, a.recent = s.Serial, s.Rules, s.Silences, s.Recent
	for _, one := range s.Active {
		a.firing[subject{one.Rule, one.Module, one.Interface}] = &one
	}
	return s, nil
}

// save writes the state if it has changed.
func (a *Alerts) save() {
	a.mu.Lock()
	defer a.mu.Unlock()
	_ = a.saveNow() // it is counted, and tried again at the next check
}

// saveNow does so with mu held.
func (a *Alerts) saveNow() error {
	if a.cfg.State == "" {
		return nil
	}
	s := state{Version: 1, Serial: a.serial, Rules: a.rules, Silences: a.silence, Recent: a.recent}
	unsent := 0
	for _, to := range a.senders {
		if waiting := to.unsent(); len(waiting) > 0 {
			if s.Waiting == nil {
				s.Waiting = make(map[string][]Alert)
			}
			s.Waiting[to.hook.Name] = waiting
			unsent += len(waiting)
		}
	}
	if !a.dirty && unsent == a.unsent {
		return nil
	}
	for _, one := range a.firing {
		s.Active = append(s.Active, *one)
	}
	err := write(a.cfg.State, &s)
	if err != nil {
		if a.figures.SaveErrors++; a.figures.SaveErrors == 1 {
			a.cfg.Logger.Error("the file of alerts cannot be written", "err", err)
		}
		return fmt.Errorf("alert: %w", err)
	}
	a.dirty, a.unsent = false, unsent
	return nil
}

// write replaces a file by another one, whole or not at all.
func write(path string, s *state) error {
	b, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".alerts-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
