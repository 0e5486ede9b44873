package redisdir

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-7410fe32/sluice/internal/directory"
)

func (d *Directory) setKey(s directory.Set) string {
	return d.cfg.Prefix + ":set:" + string(rune(s.Kind)) + ":" + s.Name
}

// member is the field of a set that a gateway has.
func member(m directory.Member) string { return fmt.Sprintf("m%d.%d", m.Gateway, m.Epoch) }

// each runs a script for each set, and gives the answers, lists of texts, to take.
func (d *Directory) each(ctx context.Context, s script, sets []directory.Set, args []string,
	take func(i int, answer []string) error) error {
	for first := 0; first < len(sets); first += batch {
		part := sets[first:min(first+batch, len(sets))]
		calls := make([]call, len(part))
		for i, name := range part {
			calls[i] = call{s, d.setKey(name), args}
		}
		answers, err := d.server.run(ctx, calls...)
		if err != nil {
			return err
		}
		for i := range answers {
			if take == nil {
				continue
			}
			texts, err := answers[i].AsStrSlice()
			if err == nil {
				err = take(first+i, texts)
			}
			if err != nil {
				return errAnswer
			}
		}
	}
	return nil
}

// Enter implements directory.Presence.
func (d *Directory) Enter(ctx context.Context, m directory.Member,
	sets []directory.Set) ([][]directory.Reader, error) {
	if err := directory.CheckSets(sets, 0); err != nil {
		return nil, err
	}
	readers := make([][]directory.Reader, len(sets))
	args := []string{member(m), decimal(d.number.Add(1)), ms(d.cfg.EntryTTL)}
	err := d.each(ctx, enter, sets, args, func(i int, texts []string) error {
		for _, text := range texts {
			gateway, loop, err := pair(text, 16)
			if err != nil {
				return err
			}
			readers[i] = append(readers[i], directory.Reader{Gateway: gateway, Loop: uint16(loop)})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return readers, nil
}

// Leave implements directory.Presence.
func (d *Directory) Leave(ctx context.Context, m directory.Member, sets []directory.Set) error {
	if err := directory.CheckSets(sets, 0); err != nil {
		return err
	}
	return d.each(ctx, leave, sets, []string{member(m), decimal(d.number.Add(1))}, nil)
}

// Locate implements directory.Presence.
func (d *Directory) Locate(ctx context.Context, r directory.Reader, lease time.Duration,
	sets []directory.Set) ([][]directory.Member, error) {
	if err := directory.CheckSets(sets, lease); err != nil {
		return nil, err
	}
	members := make([][]directory.Member, len(sets))
	args := []string{fmt.Sprintf("r%d.%d", r.Gateway, r.Loop), ms(2 * lease)}
	err := d.each(ctx, locate, sets, args, func(i int, texts []string) error {
		for _, text := range texts {
			gateway, epoch, err := pair(text, 64)
			if err != nil {
				return err
			}
			members[i] = append(members[i], directory.Member{Gateway: gateway, Epoch: epoch})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return members, nil
}

// pair reads "gateway.number".
func pair(text string, bits int) (gateway uint32, number uint64, err error) {
	first, second, _ := strings.Cut(text, ".")
	g, err := strconv.ParseUint(first, 10, 32)
	if err != nil {
		return 0, 0, err
	}
	number, err = strconv.ParseUint(second, 10, bits)
	return uint32(g), number, err
}

func (d *Directory) box(gateway uint32) string {
	return d.cfg.Prefix + ":mail:" + decimal(uint64(gateway))
}

// Post implements directory.Mail.
func (d *Directory) Post(ctx context.Context, to uint32, messages [][]byte) error {
	if err := directory.CheckMail(messages); err != nil {
		return err
	}
	if len(messages) == 0 {
		return nil
	}
	bounds := []string{strconv.Itoa(directory.MaxMail), ms(directory.MailTTL)}
	answers, err := d.server.run(ctx, call{post, d.box(to), slices.Concat(bounds, texts(messages))})
	if err != nil {
		return err
	}
	switch n, err := answers[0].AsInt64(); {
	case err != nil:
		return errAnswer
	case n == 0:
		return directory.ErrFull
	}
	return nil
}

// Fetch implements directory.Mail.
func (d *Directory) Fetch(ctx context.Context, of uint32, done [][]byte) (messages [][]byte, err error) {
	if err := directory.CheckMail(done); err != nil {
		return nil, err
	}
	most := []string{strconv.Itoa(directory.MaxPost)}
	answers, err := d.server.run(ctx, call{fetch, d.box(of), slices.Concat(most, texts(done))})
	if err != nil {
		return nil, err
	}
	all, err := answers[0].ToArray()
	if err != nil {
		return nil, errAnswer
	}
	for _, m := range all {
		text, err := m.AsBytes()
		if err != nil {
			return nil, errAnswer
		}
		messages = append(messages, text)
	}
	return messages, nil
}

// texts returns messages as arguments of a script.
func texts(messages [][]byte) []string {
	all := make([]string, len(messages))
	for i, m := range messages {
		all[i] = rueidis.BinaryString(m)
	}
	return all
}
