package alert

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

const maxState = 64 << 20 // bytes of the file

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
	if err := s.read(b); err != nil {
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

// read reads the bytes of a file. It refuses what a file of this version cannot have.
func (s *state) read(b []byte) error {
	if err := json.Unmarshal(b, s); err != nil {
		return err
	}
	if s.Version != 1 {
		return fmt.Errorf("version %d: must be 1", s.Version)
	}
	if len(s.Rules) > maxRules || len(s.Silences) > maxSilences || len(s.Active) > maxAlerts || len(s.Recent) > maxRecent {
		return errors.New("it has more than this version makes")
	}
	for i := range s.Rules {
		r := &s.Rules[i]
		if err := r.check(); err != nil {
			return fmt.Errorf("rule %q: %w", r.Name, err)
		}
		if i > 0 && s.Rules[i-1].Name >= r.Name {
			return fmt.Errorf("rule %q: is not in order", r.Name)
		}
		r.Source = FromPage
	}
	return nil
}

// save writes the state if it has changed.
func (a *Alerts) save() error {
	if a.cfg.State == "" {
		return nil
	}
	a.saving.Lock()
	defer a.saving.Unlock()
	s, unsent, changed := a.snapshot()
	if !changed {
		return nil
	}
	err := write(a.cfg.State, s)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.dirty = true
		a.figures.SaveErrors++
		if !a.told.saves {
			a.cfg.Logger.Error("the file of alerts cannot be written", "err", err)
		}
		a.told.saves = true
		return fmt.Errorf("alert: %w", err)
	}
	a.unsent, a.told.saves = unsent, false
	return nil
}

// snapshot returns what the file is to have, how many notifications these are, and whether the file
// has something else.
func (a *Alerts) snapshot() (s *state, unsent int, changed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s = &state{
		Version: 1, Serial: a.serial, Rules: slices.Clone(a.rules), Silences: slices.Clone(a.silence),
		Recent: slices.Clone(a.recent),
	}
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
		return nil, 0, false
	}
	for _, one := range a.firing {
		s.Active = append(s.Active, *one)
	}
	a.dirty = false
	return s, unsent, true
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
