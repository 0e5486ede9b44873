package store

import (
	"context"
	"encoding/json"
	"fmt"
)

// Client calls a Store. Its methods return a *Refusal for what the store refuses.
type Client struct {
	// Invoke calls Store.Serve. Workers have worker.Worker.Invoke.
	Invoke func(ctx context.Context, payload []byte) ([]byte, error)
}

// call is what Serve reads.
type call struct {
	Op  string          `json:"op"`
	Arg json.RawMessage `json:"arg"`
}

// result is what Serve returns.
type result struct {
	Value   json.RawMessage `json:"value,omitempty"`
	Refusal *Refusal        `json:"refusal,omitempty"`
}

// ask calls an operation of the store.
func ask[R any](ctx context.Context, c Client, op string, arg any) (value R, err error) {
	b, err := json.Marshal(arg)
	if err != nil {
		return value, fmt.Errorf("store: %w", err)
	}
	b, err = json.Marshal(call{op, b})
	if err != nil {
		return value, fmt.Errorf("store: %w", err)
	}
	b, err = c.Invoke(ctx, b)
	if err != nil {
		return value, fmt.Errorf("store: %w", err)
	}
	var r result
	if err := json.Unmarshal(b, &r); err != nil {
		return value, fmt.Errorf("store: answer of %s: %w", op, err)
	}
	if r.Refusal != nil {
		return value, r.Refusal
	}
	if err := json.Unmarshal(r.Value, &value); err != nil {
		return value, fmt.Errorf("store: answer of %s: %w", op, err)
	}
	return value, nil
}

// Login gives a person a name.
func (c Client) Login(ctx context.Context, l *Login) (Account, error) {
	return ask[Account](ctx, c, "login", l)
}

// Find returns who has a name.
func (c Client) Find(ctx context.Context, f *Find) (Person, error) {
	return ask[Person](ctx, c, "find", f)
}

// Gone notes that a person has no connection any more.
func (c Client) Gone(ctx context.Context, g *Gone) error {
	_, err := ask[struct{}](ctx, c, "gone", g)
	return err
}

// Member adds a room to those of a person, or removes it.
func (c Client) Member(ctx context.Context, m *Member) error {
	_, err := ask[struct{}](ctx, c, "member", m)
	return err
}

// Post adds a message to a conversation.
func (c Client) Post(ctx context.Context, p *Post) (Posted, error) {
	return ask[Posted](ctx, c, "post", p)
}

// Read returns messages of a conversation.
func (c Client) Read(ctx context.Context, r *Read) (Page, error) { return ask[Page](ctx, c, "read", r) }

// Change edits or deletes a message, or reacts to it, and returns it.
func (c Client) Change(ctx context.Context, m *Change) (Posted, error) {
	return ask[Posted](ctx, c, "change", m)
}

// Mark notes what a person has read, and whether the person wants to be notified.
func (c Client) Mark(ctx context.Context, m *Mark) error {
	_, err := ask[struct{}](ctx, c, "mark", m)
	return err
}

// Block blocks somebody and returns all whom the person has blocked.
func (c Client) Block(ctx context.Context, b *Block) ([]Person, error) {
	return ask[[]Person](ctx, c, "block", b)
}

// SetPassword changes the password of a person and returns a new token.
func (c Client) SetPassword(ctx context.Context, p *SetPassword) (token string, err error) {
	return ask[string](ctx, c, "password", p)
}
