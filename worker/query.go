package worker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"sync"

	"sluice/internal/link"
)

// Fields say what Select is to tell of a client besides its id.
type Fields uint8

// The fields of a Row.
const (
	FieldUID    Fields = link.FieldUID
	FieldGroups Fields = link.FieldGroups
	FieldAttrs  Fields = link.FieldAttrs
)

// Query chooses clients: those of any of the groups, or of any of the uids, or with the ids; all when nothing is given. Only one of the three may be.
type Query struct {
	Groups  []string
	UIDs    []string
	Clients []ClientID
	Fields  Fields
	Page    int // rows a gateway's loop sends at a time, at most. Zero means as many as fit in 256 KiB.
}

// Row is what Select tells of one client.
type Row struct {
	ID      ClientID
	UID     string
	Groups  []string
	Attrs   map[string]string
	Version uint32 // of Attrs
}

// Count asks how many clients there are. Questions see what was before the handler's own doings.
func (a API) Count(ctx context.Context) (int, error) {
	n := 0
	err := a.count(ctx, link.TargetAll, nil, func(_ uint32, _ int, c int) { n += c })
	return n, err
}

// CountByGateway asks each gateway how many clients it has.
func (a API) CountByGateway(ctx context.Context) (map[uint32]int, error) {
	n := make(map[uint32]int)
	err := a.count(ctx, link.TargetAll, nil, func(gateway uint32, _ int, c int) { n[gateway] = c })
	return n, err
}

// CountGroups asks how many clients each group has.
func (a API) CountGroups(ctx context.Context, groups ...string) (map[string]int, error) {
	return a.countKeys(ctx, link.TargetGroups, groups)
}

// CountUIDs asks how many clients each uid has.
func (a API) CountUIDs(ctx context.Context, uids ...string) (map[string]int, error) {
	return a.countKeys(ctx, link.TargetUIDs, uids)
}

// OnlineClients asks which of the clients are connected.
func (a API) OnlineClients(ctx context.Context, ids ...ClientID) (map[ClientID]bool, error) {
	online := make(map[ClientID]bool, len(ids))
	err := a.count(ctx, link.TargetClients, idKeys(ids), func(_ uint32, i, c int) {
		online[ids[i]] = online[ids[i]] || c > 0
	})
	return online, err
}

func (a API) countKeys(ctx context.Context, target uint16, keys []string) (map[string]int, error) {
	n := make(map[string]int, len(keys))
	for _, key := range keys {
		n[key] = 0
	}
	keys = slices.Collect(maps.Keys(n)) // each once, else it would count as often
	err := a.count(ctx, target, keys, func(_ uint32, i, c int) { n[keys[i]] += c })
	return n, err
}

// count asks all gateways at once and calls add for each number of each answer, one after the other.
func (a API) count(ctx context.Context, target uint16, keys []string, add func(gateway uint32, i, n int)) error {
	payload, err := keyList(keys)
	if err != nil {
		return err
	}
	gateways, down := a.w.gateways()
	if len(gateways) == 0 {
		return ErrLinkDown
	}
	numbers := len(keys)
	if target == link.TargetAll {
		numbers = 1
	}
	var mu sync.Mutex
	var cause error
	var all sync.WaitGroup
	for _, id := range gateways {
		all.Go(func() {
			answer, partial, err := a.inquire(ctx, id, link.Frame{Type: link.Count, Code: target}, payload)
			mu.Lock()
			defer mu.Unlock()
			if err == nil && len(answer) != 4*numbers && !(partial && len(answer) == 0) {
				err = fmt.Errorf("%w: %d bytes of answer to a COUNT of %d", link.ErrFrame, len(answer), numbers)
			}
			if err != nil {
				down, cause = down+1, err
				return
			}
			if partial {
				down, cause = down+1, errLoopSilent
			}
			for i := range len(answer) / 4 {
				add(id, i, int(binary.BigEndian.Uint32(answer[4*i:])))
			}
		})
	}
	a.aboutToBlock()
	all.Wait()
	return partial(down, cause)
}

// Select asks for clients, page by page as the loop goes on. An error ends the loop, but ErrPartial, which comes after the last row, with a zero Row: some gateways gave no
// answer, or not all. A Query that makes no sense is ErrInvalid.
func (a API) Select(ctx context.Context, q Query) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		target, keys, err := q.target()
		if err == nil {
			err = q.check()
		}
		if err != nil {
			yield(Row{}, err)
			return
		}
		a.pages(ctx, target, keys, uint8(q.Fields), q.Page, func(c *link.Cursor) (bool, error) {
			row, err := q.Fields.read(c)
			return err == nil && yield(row, nil), err
		}, func(err error) { yield(Row{}, err) })
	}
}

// UIDs asks for the uids that have clients, in any of the groups when there are some given, else at all; each once.
func (a API) UIDs(ctx context.Context, groups ...string) iter.Seq2[string, error] {
	target := uint16(link.TargetAll)
	if len(groups) > 0 {
		target = link.TargetGroups
	}
	return a.distinct(ctx, target, groups, link.FieldDistinctUIDs)
}

// GroupNames asks for the groups that have members, each once.
func (a API) GroupNames(ctx context.Context) iter.Seq2[string, error] {
	return a.distinct(ctx, link.TargetAll, nil, link.FieldDistinctGroups)
}

func (a API) distinct(ctx context.Context, target uint16, keys []string, field uint8) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		seen := make(map[string]struct{})
		a.pages(ctx, target, keys, field, 0, func(c *link.Cursor) (bool, error) {
			name := string(c.Bytes())
			if c.Bad() {
				return false, link.ErrFrame
			}
			if _, again := seen[name]; again {
				return true, nil
			}
			seen[name] = struct{}{}
			return yield(name, nil), nil
		}, func(err error) { yield("", err) })
	}
}

// pages asks each gateway for all its pages, and calls row at each row until it says no. fail is called at most once, unless row said no.
func (a API) pages(ctx context.Context, target uint16, keys []string, fields uint8, page int, row func(*link.Cursor) (bool, error), fail func(error)) {
	list, err := keyList(keys)
	gateways, down := a.w.gateways()
	if err == nil && len(gateways) == 0 {
		err = ErrLinkDown
	}
	if err != nil {
		fail(err)
		return
	}
	var cause error
	for _, id := range gateways {
		for cursor, first := uint64(0), true; first || cursor != 0; first = false {
			payload := append([]byte{fields}, binary.BigEndian.AppendUint32(nil, uint32(min(uint64(page), math.MaxUint32)))...)
			payload = append(binary.BigEndian.AppendUint64(payload, cursor), list...)
			a.aboutToBlock()
			answer, _, err := a.inquire(ctx, id, link.Frame{Type: link.Select, Code: target}, payload)
			if err != nil {
				down, cause = down+1, err
				break
			}
			c := link.Read(answer)
			cursor = c.U64()
			for len(c.Rest()) > 0 {
				if more, err := row(&c); err != nil {
					fail(err)
					return
				} else if !more {
					return
				}
			}
		}
	}
	if err := partial(down, cause); err != nil {
		fail(err)
	}
}

// errLoopSilent is why an answer of a gateway is not all there is.
var errLoopSilent = errors.New("worker: an event loop of the gateway has not answered in time")

func (q *Query) target() (uint16, []string, error) {
	given := 0
	target, keys := uint16(link.TargetAll), []string(nil)
	if len(q.Groups) > 0 {
		given, target, keys = given+1, link.TargetGroups, q.Groups
	}
	if len(q.UIDs) > 0 {
		given, target, keys = given+1, link.TargetUIDs, q.UIDs
	}
	if len(q.Clients) > 0 {
		given, target, keys = given+1, link.TargetClients, idKeys(q.Clients)
	}
	if given > 1 {
		return 0, nil, fmt.Errorf("%w: a Query by %d of groups, uids and clients, want one at most", ErrInvalid, given)
	}
	return target, keys, nil
}

func (q *Query) check() error {
	if q.Page < 0 {
		return fmt.Errorf("%w: Query.Page %d is negative", ErrInvalid, q.Page)
	}
	if known := FieldUID | FieldGroups | FieldAttrs; q.Fields&^known != 0 {
		return fmt.Errorf("%w: Query.Fields %#x has none but FieldUID, FieldGroups and FieldAttrs", ErrInvalid, uint8(q.Fields))
	}
	return nil
}

func (f Fields) read(c *link.Cursor) (row Row, err error) {
	row.ID = c.ID()
	if f&FieldUID != 0 {
		row.UID = string(c.Bytes())
	}
	if f&FieldGroups != 0 {
		for range c.U16() {
			row.Groups = append(row.Groups, string(c.Bytes()))
			if c.Bad() {
				break
			}
		}
	}
	if f&FieldAttrs != 0 {
		row.Version = c.U32()
		row.Attrs = attrMap(c.Attributes())
	}
	if c.Bad() {
		return row, link.ErrFrame
	}
	return row, nil
}

// inquire asks one gateway. The answer is partial when not all of its loops have given one.
func (a API) inquire(ctx context.Context, gateway uint32, f link.Frame, payload []byte) (answer []byte, partial bool, err error) {
	l := a.w.routes.any(gateway)
	if a.origin != nil && a.origin.link.gateway == gateway {
		l = a.origin.link
	}
	if l == nil {
		return nil, false, ErrLinkDown
	}
	status, q, err := a.question(ctx, l, f, payload)
	if err != nil {
		return nil, false, err
	}
	if status != link.OK {
		return nil, false, fmt.Errorf("%w: %v", ErrRefused, status)
	}
	return q.answer, q.partial, nil
}

// gateways are the ids of the gateways that can be asked, and how many there are that cannot.
func (w *Worker) gateways() (up []uint32, down int) {
	up, down = w.routes.gateways()
	return up, down + int(w.unseen.Load())
}

// partial is the error of an answer that some gateways did not give; cause is why the last one that was asked did not, nil when there was none to ask.
func partial(silent int, cause error) error {
	switch {
	case silent == 0:
		return nil
	case cause == nil:
		return fmt.Errorf("%w: %d gateways have not answered", ErrPartial, silent)
	}
	return fmt.Errorf("%w: %d gateways have not answered: %w", ErrPartial, silent, cause)
}

func keyList(keys []string) ([]byte, error) {
	if len(keys) > 0xFFFF {
		return nil, ErrTooBig
	}
	for _, key := range keys {
		if err := checkKey(key); err != nil {
			return nil, err
		}
	}
	return link.AppendList(nil, keys), nil
}
