package alert

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	maxFile     = 1 << 20 // bytes
	maxRules    = 200
	maxWebhooks = 20
)

// Webhook is an address that is told of alerts.
type Webhook struct {
	Name string `yaml:"name"`
	// Kind is "json", the default, or "slack": {"text": ...}, as Slack, Mattermost, Rocket.Chat and
	// Discord with /slack at the end of its address take it.
	Kind string `yaml:"kind"`
	// URL is the address, http or https. URLFile is a file with it, for one that is a secret.
	URL     string `yaml:"url"`
	URLFile string `yaml:"url_file"`
	// TokenFile is a file with a token that is sent as Authorization: Bearer.
	TokenFile string `yaml:"token_file"`

	token string
}

// File is a file with rules and webhooks.
type File struct {
	Webhooks []Webhook `yaml:"webhooks"` // bound: none, maxWebhooks
	Rules    []Rule    `yaml:"rules"`    // bound: none, maxRules
}

// ReadFile reads a YAML file with rules and webhooks, and the files that it names. Unknown keys are
// errors.
func ReadFile(path string) (*File, error) {
	b, err := readUpTo(path, maxFile)
	if err != nil {
		return nil, err
	}
	f := new(File)
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(f); err != nil && !errors.Is(err, io.EOF) {
		typeNames := strings.NewReplacer(" in type alert.File", "", " in type alert.Rule", "", " in type alert.Webhook", "")
		return nil, fmt.Errorf("%s: %s", path, typeNames.Replace(err.Error()))
	}
	if err := f.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

func (f *File) check() error {
	if len(f.Rules) > maxRules || len(f.Webhooks) > maxWebhooks {
		return fmt.Errorf("%d rules and %d webhooks: must be at most %d and %d", len(f.Rules), len(f.Webhooks), maxRules,
			maxWebhooks)
	}
	for i := range f.Webhooks {
		h := &f.Webhooks[i]
		if slices.ContainsFunc(f.Webhooks[:i], func(o Webhook) bool { return o.Name == h.Name }) {
			return fmt.Errorf("webhook %q: is there twice", h.Name)
		}
		if err := h.check(); err != nil {
			return fmt.Errorf("webhook %q: %w", h.Name, err)
		}
	}
	for i := range f.Rules {
		r := &f.Rules[i]
		r.Source = FromFile
		if slices.ContainsFunc(f.Rules[:i], func(o Rule) bool { return o.Name == r.Name }) {
			return fmt.Errorf("rule %q: is there twice", r.Name)
		}
		if err := r.checkWith(f.Webhooks); err != nil {
			return fmt.Errorf("rule %q: %w", r.Name, err)
		}
	}
	return nil
}

// check sets the defaults, reads the files, and returns why the webhook is not possible.
func (h *Webhook) check() (err error) {
	if h.Kind == "" {
		h.Kind = "json"
	}
	switch {
	case !isName(h.Name):
		return fmt.Errorf("name: must be 1 to %d bytes of visible characters, without /", maxName)
	case h.Kind != "json" && h.Kind != "slack":
		return fmt.Errorf("kind: %q: must be json or slack", h.Kind)
	case (h.URL == "") == (h.URLFile == ""):
		return errors.New("exactly one of url and url_file must be set")
	}
	if h.URLFile != "" {
		if h.URL, err = readLine(h.URLFile); err != nil {
			return fmt.Errorf("url_file: %w", err)
		}
	}
	if h.TokenFile != "" {
		if h.token, err = readLine(h.TokenFile); err != nil {
			return fmt.Errorf("token_file: %w", err)
		}
	}
	u, err := url.Parse(h.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return errors.New("the address must begin with http:// or https://") // it may be a secret
	}
	return nil
}

// readLine reads a file that is one line of text.
func readLine(path string) (string, error) {
	b, err := readUpTo(path, 4<<10)
	if err != nil {
		return "", err
	}
	s := strings.TrimSpace(string(b))
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("%s: must be one line of visible ASCII characters", path)
	}
	return s, nil
}

func readUpTo(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it is only read
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%s: has more than %d bytes", path, most)
	}
	return b, err
}
