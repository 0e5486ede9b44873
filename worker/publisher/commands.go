package publisher

import (
	"context"
	"iter"

	"github.com/seed-7410fe32/sluice/worker"
)

// Publish sends a message to clients, at all gateways. It returns when the message is queued for
// the gateways, whether or not there is such a client. Messages of one goroutine to one client
// arrive in order. A gateway without a link does not get the message: Stats.CommandsDropped counts
// this, and the error is worker.ErrLinkDown if no gateway has got it.
func (p *Publisher) Publish(ctx context.Context, t worker.Target, m worker.Message) error {
	return p.w.Publish(ctx, t, m)
}

// Deliver sends a message to one client and waits until the gateway reports what has happened to
// it.
func (p *Publisher) Deliver(ctx context.Context, id worker.ClientID, m worker.Message) (worker.Delivery, error) {
	return p.w.Deliver(ctx, id, m)
}

// Close closes the connections of clients after everything sent to them has been written. The error
// is worker.ErrGone if t is one client that is not connected. It does not end the Publisher: that
// ends with the context of Run.
func (p *Publisher) Close(ctx context.Context, t worker.Target) error { return p.w.Close(ctx, t) }

// CloseWith sends clients a last message and closes their connections, as one step. Only Data and
// Binary of the message are used. It returns the errors of Close.
func (p *Publisher) CloseWith(ctx context.Context, t worker.Target, last worker.Message) error {
	return p.w.CloseWith(ctx, t, last)
}

// CloseNow closes the connections of clients at once. Data that has not been written is lost. It
// returns the errors of Close.
func (p *Publisher) CloseNow(ctx context.Context, t worker.Target) error { return p.w.CloseNow(ctx, t) }

// Join adds clients to a group. It returns when their gateways have done so, with worker.ErrRefused
// if a client is already in as many groups as its gateway allows, and with worker.ErrGone if t is
// one client that is not connected.
func (p *Publisher) Join(ctx context.Context, t worker.Target, group string) error {
	return p.w.Join(ctx, t, group)
}

// Leave removes clients from a group. It returns when their gateways have done so, with
// worker.ErrGone if t is one client that is not connected.
func (p *Publisher) Leave(ctx context.Context, t worker.Target, group string) error {
	return p.w.Leave(ctx, t, group)
}

// DeleteGroup removes all members from a group, at all gateways. It returns when the command is
// queued for the gateways.
func (p *Publisher) DeleteGroup(ctx context.Context, group string) error {
	return p.w.DeleteGroup(ctx, group)
}

// Bind binds a client to a uid. It returns worker.ErrGone if the client is not connected.
func (p *Publisher) Bind(ctx context.Context, id worker.ClientID, uid string) error {
	return p.w.Bind(ctx, id, uid)
}

// BindExclusive binds a client to a uid and closes all other clients of that uid, as
// worker.Worker.BindExclusive does. It returns the errors of Bind.
func (p *Publisher) BindExclusive(ctx context.Context, id worker.ClientID, uid string) error {
	return p.w.BindExclusive(ctx, id, uid)
}

// Unbind removes the uid of a client. It returns the errors of Bind.
func (p *Publisher) Unbind(ctx context.Context, id worker.ClientID) error { return p.w.Unbind(ctx, id) }

// SetAttrs replaces all attributes of a client. The client's worker gets them. It returns
// worker.ErrTooBig for more than 1 MiB, worker.ErrRefused if the gateway has rejected them, and
// worker.ErrGone if the client is not connected.
func (p *Publisher) SetAttrs(ctx context.Context, id worker.ClientID, attrs map[string]string) error {
	return p.w.SetAttrs(ctx, id, attrs)
}

// MergeAttrs changes the given attributes and keeps the others. An empty value removes one. It
// returns the errors of SetAttrs.
func (p *Publisher) MergeAttrs(ctx context.Context, id worker.ClientID, attrs map[string]string) error {
	return p.w.MergeAttrs(ctx, id, attrs)
}

// CompareAndSet replaces all attributes of a client if their version is the given one. Otherwise it
// returns worker.ErrConflict; then read them again with Select. It also returns the errors of
// SetAttrs.
func (p *Publisher) CompareAndSet(
	ctx context.Context, id worker.ClientID, version uint32, attrs map[string]string,
) error {
	return p.w.CompareAndSet(ctx, id, version, attrs)
}

// Count returns how many clients the target selects. Each client counts once. A worker.ErrPartial
// comes with a number that may be too low because some gateways have not answered.
func (p *Publisher) Count(ctx context.Context, t worker.Target) (int, error) {
	return p.w.Count(ctx, t)
}

// Counts returns how many clients each target selects, in the order of the targets, with one query
// for all groups, one for all uids and one for all clients. The errors are those of Count.
func (p *Publisher) Counts(ctx context.Context, targets []worker.Target) ([]int, error) {
	return p.w.Counts(ctx, targets)
}

// Select returns the clients that the target selects, each once, with the given fields. It asks for
// them page by page as the loop proceeds. An error ends the loop, with a zero ClientInfo;
// worker.ErrPartial comes after the last client.
func (p *Publisher) Select(
	ctx context.Context, t worker.Target, fields worker.Fields,
) iter.Seq2[worker.ClientInfo, error] {
	return p.w.Select(ctx, t, fields)
}

// UIDs returns the uids of the clients that the target selects, each uid once. The errors are those
// of Select.
func (p *Publisher) UIDs(ctx context.Context, t worker.Target) iter.Seq2[string, error] {
	return p.w.UIDs(ctx, t)
}

// Groups returns the groups of the clients that the target selects, each group once. The errors are
// those of Select.
func (p *Publisher) Groups(ctx context.Context, t worker.Target) iter.Seq2[string, error] {
	return p.w.Groups(ctx, t)
}

// Invoke calls the function of a gateway's program (gateway.Config.OnInvoke), as
// worker.Worker.Invoke does, and returns its answer. Payload and answer have at most 1 MiB each.
func (p *Publisher) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	return p.w.Invoke(ctx, payload)
}
