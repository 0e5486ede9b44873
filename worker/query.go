package worker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/seed-7410fe32/sluice/internal/link"
)

// Fields selects what Select returns of a client besides its id.
type Fields uint8

// Fields of ClientInfo.
const (
	FieldUID    Fields = 1 << iota // UID
	FieldGroups                    // Groups
	FieldAttrs                     // Attrs and Version
)

// ClientInfo describes one client. Select returns it.
type ClientInfo struct {
	ID      ClientID
	UID     string            // with FieldUID
	Groups  []string          // with FieldGroups
	Attrs   map[string]string // with FieldAttrs
	Version uint32            // of Attrs, for CompareAndSet
}

// Count returns how many clients the target selects. Each client counts once. An ErrPartial comes
// with a number that may be too low because some gateways have not answered. In a handler, the
// effects of the call so far are not included, and those of earlier calls of the client are.
func (w *Worker) Count(ctx context.Context, t Target) (int, error) {
	n, err := w.Counts(ctx, []Target{t})
	return n[0], err
}

// Counts returns how many clients each target selects, in the order of the targets. It sends one
// query for all groups, one for all uids and one for all clients. The errors are those of Count.
func (w *Worker) Counts(ctx context.Context, targets []Target) ([]int, error) {
	n := make([]int, len(targets))
	questions := make(map[uint16]*countQuestion)
	var errs []error
	for i := range targets {
		t := &targets[i]
		code, err := t.code()
		switch {
		case err != nil:
			errs = append(errs, err)
		case len(t.names) > 0xFFFF || len(t.ids) > 0xFFFF:
			errs = append(errs, ErrTooBig)
		case t.isEmpty():
		case len(t.except) > 0 || t.kind == targetGroups: // a client of several groups counts once
			for _, err := range w.Select(ctx, *t, 0) {
				if err != nil {
					errs = append(errs, err)
				} else {
					n[i]++
				}
			}
		default:
			if questions[code] == nil {
				questions[code] = &countQuestion{of: make(map[string][]int)}
			}
			questions[code].ask(t, i)
		}
	}
	for code, q := range questions {
		errs = append(errs, q.count(ctx, w, code, n))
	}
	return n, errors.Join(errs...)
}

// Select returns the clients that the target selects, each once, with the given fields. It asks for
// them page by page as the loop proceeds. An error ends the loop, with a zero ClientInfo.
// ErrPartial comes after the last client and means that some gateways have not answered, or not
// completely.
func (w *Worker) Select(ctx context.Context, t Target, fields Fields) iter.Seq2[ClientInfo, error] {
	return w.selectPaged(ctx, t, fields, 0)
}

// selectPaged is Select with a limit for the clients of a page. 0 means as many as fit in 256 KiB.
func (w *Worker) selectPaged(ctx context.Context, t Target, fields Fields, page int) iter.Seq2[ClientInfo, error] {
	return func(yield func(ClientInfo, error) bool) {
		if known := FieldUID | FieldGroups | FieldAttrs; fields&^known != 0 {
			err := fmt.Errorf("%w: fields %#x: must be of FieldUID, FieldGroups and FieldAttrs", ErrInvalid, uint8(fields))
			yield(ClientInfo{}, err)
			return
		}
		w.pages(ctx, &t, uint8(fields), page, func(c *link.Cursor) (bool, error) {
			info, err := fields.read(c)
			if err != nil || slices.Contains(t.except, info.ID) {
				return true, err
			}
			return yield(info, nil), nil
		}, func(err error) { yield(ClientInfo{}, err) })
	}
}

// UIDs returns the uids of the clients that the target selects, each uid once. The errors are those
// of Select.
func (w *Worker) UIDs(ctx context.Context, t Target) iter.Seq2[string, error] {
	if len(t.except) > 0 || t.kind == targetClient || t.kind == targetClients {
		return w.distinct(ctx, t, FieldUID, func(info *ClientInfo) []string {
			if info.UID == "" {
				return nil
			}
			return []string{info.UID}
		})
	}
	return w.names(ctx, t, link.FieldDistinctUIDs)
}

// Groups returns the groups of the clients that the target selects, each group once. The errors are
// those of Select.
func (w *Worker) Groups(ctx context.Context, t Target) iter.Seq2[string, error] {
	if len(t.except) > 0 || t.kind != targetEveryone {
		return w.distinct(ctx, t, FieldGroups, func(info *ClientInfo) []string { return info.Groups })
	}
	return w.names(ctx, t, link.FieldDistinctGroups)
}

// distinct returns the names that of returns for the selected clients, each once.
func (w *Worker) distinct(
	ctx context.Context, t Target, field Fields, of func(*ClientInfo) []string,
) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		seen := make(map[string]struct{})
		for info, err := range w.Select(ctx, t, field) {
			if err != nil {
				yield("", err)
				return
			}
			for _, name := range of(&info) {
				if _, again := seen[name]; again {
					continue
				}
				seen[name] = struct{}{}
				if !yield(name, nil) {
					return
				}
			}
		}
	}
}

// names returns names that gateways list without the clients that have them, each once.
func (w *Worker) names(ctx context.Context, t Target, field uint8) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		seen := make(map[string]struct{})
		w.pages(ctx, &t, field, 0, func(c *link.Cursor) (bool, error) {
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

// pages asks each gateway that may have such clients for all its pages and calls row for each row,
// until row returns false. If there is an error it calls fail, once, unless row has returned false.
func (w *Worker) pages(
	ctx context.Context, t *Target, fields uint8, page int, row func(*link.Cursor) (bool, error), fail func(error),
) {
	code, err := t.code()
	var list []byte
	if err == nil {
		list, err = t.appendKeys(nil)
	}
	if err == nil && t.isEmpty() {
		return
	}
	var gateways []uint32
	var down int
	if err == nil {
		gateways, down, err = w.gateways(ctx, t)
	}
	if err != nil {
		fail(err)
		return
	}
	var cause error
	for _, id := range gateways {
		for cursor, first := uint64(0), true; first || cursor != 0; first = false {
			limit := uint32(min(uint64(page), math.MaxUint32))
			payload := append([]byte{fields}, binary.BigEndian.AppendUint32(nil, limit)...)
			payload = append(binary.BigEndian.AppendUint64(payload, cursor), list...)
			answer, _, err := w.queryGateway(ctx, id, link.Frame{Type: link.Select, Code: code}, payload)
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

// errLoopTimeout is the reason for an incomplete answer of a gateway.
var errLoopTimeout = errors.New("worker: an event loop of the gateway has not answered in time")

func (f Fields) read(c *link.Cursor) (info ClientInfo, err error) {
	info.ID = ClientID(c.ID())
	if f&FieldUID != 0 {
		info.UID = string(c.Bytes())
	}
	if f&FieldGroups != 0 {
		for range c.U16() {
			info.Groups = append(info.Groups, string(c.Bytes()))
			if c.Bad() {
				break
			}
		}
	}
	if f&FieldAttrs != 0 {
		info.Version = c.U32()
		info.Attrs = attrMap(c.Attributes())
	}
	if c.Bad() {
		return info, link.ErrFrame
	}
	return info, nil
}

// queryGateway asks one gateway. The answer is partial if some of its loops have not answered.
func (w *Worker) queryGateway(
	ctx context.Context, gateway uint32, f link.Frame, payload []byte,
) (answer []byte, partial bool, err error) {
	l := w.routes.any(gateway)
	if s := sessionOf(ctx); s != nil && s.link.gateway == gateway {
		l, f.Token = s.link, s.token // behind the effects of the client's earlier calls
	}
	if l == nil {
		return nil, false, ErrLinkDown
	}
	status, q, err := w.question(ctx, l, f, payload)
	if err != nil {
		return nil, false, err
	}
	if status != link.OK {
		return nil, false, fmt.Errorf("%w: %v", ErrRefused, status)
	}
	return q.answer, q.partial, nil
}

// gateways returns the ids of the gateways that are to be asked about the target, and the number of
// those that cannot be asked. The error is ErrLinkDown if no gateway at all can be asked.
func (w *Worker) gateways(ctx context.Context, t *Target) (up []uint32, down int, err error) {
	only, narrowed := w.narrow.recipients(ctx, t)
	up, lost := w.routes.gateways()
	if len(up) == 0 {
		return nil, 0, ErrLinkDown
	}
	if narrowed {
		own := sessionOf(ctx)
		isSpared := func(id uint32) bool {
			_, asked := slices.BinarySearch(only, id)
			return !asked && (own == nil || own.link.gateway != id) // an earlier call may just have joined there
		}
		up, lost = slices.DeleteFunc(up, isSpared), slices.DeleteFunc(lost, isSpared)
	}
	return up, len(lost) + int(w.unanswered.Load()), nil
}

// partial returns the error of an answer that some gateways are missing from. cause is why the last
// gateway that was asked has not answered, or nil if none of the missing ones could be asked.
func partial(missing int, cause error) error {
	switch {
	case missing == 0:
		return nil
	case cause == nil:
		return fmt.Errorf("%w: %d gateways have not answered", ErrPartial, missing)
	}
	return fmt.Errorf("%w: %d gateways have not answered: %w", ErrPartial, missing, cause)
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
