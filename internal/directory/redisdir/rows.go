package redisdir

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-7410fe32/sluice/internal/directory"
)

var errAnswer = fmt.Errorf("%w: an answer of another form", directory.ErrUnavailable)

func (d *Directory) row(key string) string { return d.cfg.Prefix + ":row:" + key }

// ms returns t in milliseconds, rounded up: a lease may not end too early.
func ms(t time.Duration) string {
	return strconv.FormatInt((t + time.Millisecond - 1).Milliseconds(), 10)
}

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }

// indexLife is how long an index stays after the last claim, renewal or change of a row of its
// kind.
const indexLife = directory.MaxLease + time.Hour

// note returns the call that tells the index of a row's kind of the row.
func (d *Directory) note(key string, lease time.Duration, changed bool) call {
	kind, _ := directory.Kind(key) // the caller has checked the key
	flag := "0"
	if changed {
		flag = "1"
	}
	return call{note, d.index(kind), []string{key, ms(lease), flag, ms(indexLife), d.channel(kind)}}
}

// Claim implements directory.Rows.
func (d *Directory) Claim(ctx context.Context, key, owner string, lease time.Duration,
	value []byte) (directory.Row, error) {
	if err := directory.CheckClaim(key, owner, lease, value); err != nil {
		return directory.Row{}, err
	}
	given := "0"
	if value != nil {
		given = "1"
	}
	answers, err := d.server.run(ctx, call{claim, d.row(key),
		[]string{owner, ms(lease), ms(d.cfg.Keep), given, rueidis.BinaryString(value)}})
	if err != nil {
		return directory.Row{}, err
	}
	fields, err := answers[0].ToArray()
	if err != nil || len(fields) != 6 {
		return directory.Row{}, errAnswer
	}
	result, err := fields[0].AsInt64()
	row, err2 := rowOf(key, fields[1:])
	if err := errors.Join(err, err2); err != nil {
		return directory.Row{}, errAnswer
	}
	if result == 0 {
		return row, directory.ErrHeld
	}
	// The row is held, also if the index does not learn of it now: the next renewal tells it.
	_, _ = d.server.run(ctx, d.note(key, lease, result == 2))
	return row, nil
}

// rowOf reads owner, epoch, version, value and the milliseconds that are left.
func rowOf(key string, fields []rueidis.RedisMessage) (directory.Row, error) {
	row := directory.Row{Key: key}
	owner, err1 := fields[0].ToString()
	epoch, err2 := fields[1].AsUint64()
	version, err3 := fields[2].AsUint64()
	value, err4 := fields[3].AsBytes()
	left, err5 := fields[4].AsInt64()
	row.Epoch, row.Version, row.Value = epoch, version, value
	if left > 0 {
		row.Owner, row.Left = owner, time.Duration(left)*time.Millisecond
	}
	return row, errors.Join(err1, err2, err3, err4, err5)
}

// result returns the error of what a script about a lease returns.
func result(answer rueidis.RedisMessage) error {
	switch n, err := answer.AsInt64(); {
	case err != nil:
		return errAnswer
	case n == 0:
		return directory.ErrLost
	case n == -1:
		return directory.ErrNone
	case n == -2:
		return directory.ErrConflict
	}
	return nil
}

// Renew implements directory.Rows.
func (d *Directory) Renew(ctx context.Context, key, owner string, epoch uint64, lease time.Duration) error {
	if err := directory.CheckClaim(key, owner, lease, nil); err != nil {
		return err
	}
	// The index only hints at rows. It may be told of a renewal that fails, and it may itself fail, on
	// another node of a Cluster.
	answers, errs, err := d.server.ask(ctx,
		call{renew, d.row(key), []string{owner, decimal(epoch), ms(lease), ms(d.cfg.Keep)}},
		d.note(key, lease, false))
	switch {
	case err != nil:
		return err
	case errs[0] != nil:
		return errs[0]
	}
	return result(answers[0])
}

// Put implements directory.Rows.
func (d *Directory) Put(ctx context.Context, key, owner string, epoch, version uint64,
	value []byte) (uint64, error) {
	if err := directory.CheckClaim(key, owner, directory.MaxLease, value); err != nil {
		return 0, err
	}
	answers, err := d.server.run(ctx, call{put, d.row(key),
		[]string{owner, decimal(epoch), decimal(version), rueidis.BinaryString(value)}})
	if err == nil {
		err = result(answers[0])
	}
	if err != nil {
		return 0, err
	}
	_, _ = d.server.run(ctx, d.note(key, 0, true)) // who watches has it later without
	return version + 1, nil
}

// Release implements directory.Rows.
func (d *Directory) Release(ctx context.Context, key, owner string, epoch uint64) error {
	if err := directory.CheckClaim(key, owner, directory.MaxLease, nil); err != nil {
		return err
	}
	answers, err := d.server.run(ctx, call{release, d.row(key), []string{owner, decimal(epoch), ms(d.cfg.Keep)}})
	if err == nil {
		err = result(answers[0])
	}
	if err == nil {
		_, _ = d.server.run(ctx, d.note(key, 0, true))
	}
	return err
}

// Get implements directory.Rows.
func (d *Directory) Get(ctx context.Context, key string) (directory.Row, error) {
	if _, err := directory.Kind(key); err != nil {
		return directory.Row{}, err
	}
	rows, err := d.rows(ctx, []string{key})
	if err != nil {
		return directory.Row{}, err
	}
	if rows[0].Epoch == 0 {
		return directory.Row{}, directory.ErrNone
	}
	return rows[0], nil
}

// batch is how many calls are sent at once.
const batch = 1000

// rows reads rows. One that does not exist has epoch 0.
func (d *Directory) rows(ctx context.Context, keys []string) ([]directory.Row, error) {
	rows := make([]directory.Row, len(keys))
	for first := 0; first < len(keys); first += batch {
		part := keys[first:min(first+batch, len(keys))]
		calls := make([]call, len(part))
		for i, key := range part {
			calls[i] = call{get, d.row(key), nil}
		}
		answers, err := d.server.run(ctx, calls...)
		if err != nil {
			return nil, err
		}
		for i, key := range part {
			rows[first+i].Key = key
			fields, err := answers[i].ToArray()
			if err != nil || len(fields) != 0 && len(fields) != 5 {
				return nil, errAnswer
			}
			if len(fields) == 5 {
				if rows[first+i], err = rowOf(key, fields); err != nil {
					return nil, errAnswer
				}
			}
		}
	}
	return rows, nil
}
