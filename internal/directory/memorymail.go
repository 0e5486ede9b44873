package directory

import (
	"context"
	"slices"
	"time"
)

// box has the messages for a gateway.
type box struct {
	messages []string      // oldest first; bound: messages in the directory for a gateway
	expires  time.Duration // since the directory's start
}

// Post implements Mail.
func (d *Memory) Post(ctx context.Context, to uint32, messages [][]byte) error {
	if err := CheckMail(messages); err != nil {
		return err
	}
	now, err := d.begin(ctx, 1)
	defer d.mu.Unlock()
	if err != nil {
		return err
	}
	b := d.boxes[to]
	if b == nil || now >= b.expires {
		b = &box{}
	}
	all := slices.Clone(b.messages)
	for _, m := range messages {
		all = append(slices.DeleteFunc(all, func(old string) bool { return old == string(m) }), string(m))
	}
	if len(all) > MaxMail {
		return ErrFull
	}
	b.messages, b.expires = all, now+MailTTL
	d.boxes[to] = b
	return nil
}

// Fetch implements Mail.
func (d *Memory) Fetch(ctx context.Context, of uint32, done [][]byte) ([][]byte, error) {
	if err := CheckMail(done); err != nil {
		return nil, err
	}
	now, err := d.begin(ctx, 1)
	defer d.mu.Unlock()
	if err != nil {
		return nil, err
	}
	b := d.boxes[of]
	if b == nil {
		return nil, nil
	}
	for _, m := range done {
		b.messages = slices.DeleteFunc(b.messages, func(old string) bool { return old == string(m) })
	}
	if now >= b.expires || len(b.messages) == 0 {
		delete(d.boxes, of)
		return nil, nil
	}
	var messages [][]byte
	for _, m := range b.messages[:min(len(b.messages), MaxPost)] {
		messages = append(messages, []byte(m))
	}
	return messages, nil
}
