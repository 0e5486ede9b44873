package store

import (
	"cmp"
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-7410fe32/sluice/internal/kv"
	"github.com/seed-7410fe32/sluice/internal/valid"
)

// The file in the data directory, and the bucket of the database in it.
const (
	fileName = "chat.db"
	bucket   = "chat"
)

// Config configures a Store. Zero selects the default of a number, and a negative number is an
// error.
type Config struct {
	// MaxMessages and MaxConversationBytes bound a conversation. Past them its oldest message is
	// removed. If one author has more than half of them, it is the oldest of that author, so nobody
	// can erase what others have said. Defaults to 1,000 messages and 1 MiB.
	MaxMessages, MaxConversationBytes int
	// MaxConversations and MaxBytes bound all conversations. Past them the conversation whose newest
	// message is oldest is removed. MaxBytes counts the messages as they are stored; the file, or the
	// memory, takes up to twice as much. Defaults to 10,000 conversations, and to 64 MiB in memory or
	// 1 GiB in a file.
	MaxConversations, MaxBytes int
	// MaxPeople bounds the people that are known. Past it the one who was seen longest ago is
	// forgotten; people with a password come last. A person takes up to 20 KB. Defaults to 20,000.
	MaxPeople int
	// MaxAge is how long messages are kept, and how long people are known that do not log in.
	// Passwords are kept for 90 days if that is longer. Defaults to 30 days.
	MaxAge time.Duration
	// Secret signs the tokens of people. With the same one they are valid after a restart. Defaults
	// to a random one, which a file keeps.
	Secret []byte
	// Logger is the log. Defaults to slog.Default().
	Logger *slog.Logger
}

func (c *Config) setDefaults(maxBytes int) error {
	if field, err := valid.Numbers(c); err != nil {
		return fmt.Errorf("store: Config.%s: %w", field, err)
	}
	c.MaxMessages = cmp.Or(c.MaxMessages, 1000)
	c.MaxConversationBytes = cmp.Or(c.MaxConversationBytes, 1<<20)
	c.MaxConversations = cmp.Or(c.MaxConversations, 10_000)
	c.MaxBytes = cmp.Or(c.MaxBytes, maxBytes)
	c.MaxPeople = cmp.Or(c.MaxPeople, 20_000)
	c.MaxAge = cmp.Or(c.MaxAge, 30*24*time.Hour)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return nil
}

// Store keeps the state of a chat. Any goroutine may call its methods.
type Store struct {
	base
	conversations conversations
	people        people
	end           context.CancelFunc
	sweeper       sync.WaitGroup
}

// base is what all parts of a store use.
type base struct {
	// Static after New or Open.
	cfg     Config
	driver  kv.Store
	shared  bool // the driver is of Share
	buckets *Buckets
	log     *slog.Logger

	identity atomic.Pointer[identity] // nil before the first call of a shared driver
	served   atomic.Bool              // there were calls since the last sweep

	evictedConversations, evictedMessages, expiredMessages, evictedPeople, refusals atomic.Uint64
}

// identity is what a driver has from its first update on.
type identity struct {
	secret     string // signer is made of it
	signer     []byte // key of tokens
	generation string // see Account
}

// conversations are the operations on messages.
type conversations struct{ *base }

// people are the operations on people.
type people struct {
	*base
	hashing chan struct{} // one token for each password that is being hashed; capacity maxHashing
}

// oldest is the time of the oldest messages that are kept.
func (b *base) oldest() int64 { return now() - b.cfg.MaxAge.Milliseconds() }

// New returns a Store in the memory of this process. Close it.
func New(cfg Config) (*Store, error) {
	if err := cfg.setDefaults(64 << 20); err != nil {
		return nil, err
	}
	return start(cfg, kv.NewMemory(), false)
}

// Open returns a Store in a file of a directory, which is made if there is none. A file that is
// damaged, or that another process uses, is an error. Close the Store.
func Open(dir string, cfg Config) (*Store, error) {
	if err := cfg.setDefaults(1 << 30); err != nil {
		return nil, err
	}
	d, err := kv.Open(kv.Config{Path: filepath.Join(dir, fileName), Bucket: bucket})
	switch {
	case errors.Is(err, kv.ErrDamaged):
		return nil, fmt.Errorf("%w: move it away, or restore a copy", err)
	case err != nil && !errors.Is(err, kv.ErrInUse):
		return nil, fmt.Errorf("data directory: %w", err)
	case err != nil:
		return nil, err
	}
	s, err := start(cfg, d, false)
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return s, nil
}

// Share returns a Store in what several processes share. All of them have everything, and one at a
// time is called as a rule. Nothing is read before the first call. Close the Store.
func Share(r kv.Remote, cfg Config) (*Store, error) {
	if err := cfg.setDefaults(64 << 20); err != nil {
		return nil, err
	}
	return start(cfg, kv.Share(r, cfg.Logger), true)
}

func start(cfg Config, d kv.Store, shared bool) (*Store, error) {
	buckets, err := NewBuckets(2 * time.Hour)
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	s := &Store{base: base{cfg: cfg, driver: d, shared: shared, buckets: buckets, log: cfg.Logger}}
	s.conversations = conversations{&s.base}
	s.people = people{base: &s.base, hashing: make(chan struct{}, maxHashing)}
	if !shared {
		if err := s.meet(context.Background()); err != nil {
			return nil, err
		}
	}
	ctx, end := context.WithCancel(context.Background())
	s.end = end
	s.sweeper.Go(func() { s.sweepUntil(ctx) })
	return s, nil
}

// retries is how often a call is repeated after a conflict with another process.
const retries = 3

// errNew is returned by an update or a view of a driver that has no identity any more.
var errNew = errors.New("store: all data were lost")

// meet makes the identity, unless the driver has one.
func (b *base) meet(ctx context.Context) error {
	return b.driver.Update(ctx, func(t kv.Tx) error {
		if have := t.Get([]byte{keyVersion}); have != nil && string(have) != version {
			return fmt.Errorf("the chat's data has version %q, and this program needs version %s", have, version)
		}
		t.Put([]byte{keyVersion}, []byte(version))
		if t.Get([]byte{keyGeneration}) == nil {
			t.Put([]byte{keyGeneration}, []byte(rand.Text()))
		}
		if len(b.cfg.Secret) == 0 && t.Get([]byte{keySecret}) == nil {
			t.Put([]byte{keySecret}, []byte(rand.Text()))
		}
		return b.know(t)
	})
}

// know notes the identity. That of a driver that is shared is another one when all was lost.
func (b *base) know(t kv.Tx) error {
	secret, generation := string(b.cfg.Secret), string(t.Get([]byte{keyGeneration}))
	if secret == "" {
		secret = string(t.Get([]byte{keySecret}))
	}
	if has := b.identity.Load(); has != nil && has.secret == secret && has.generation == generation {
		return nil
	}
	if generation == "" {
		return errNew
	}
	signer, err := hkdf.Key(sha256.New, []byte(secret), nil, "sluice chat token", 32)
	if err == nil {
		b.identity.Store(&identity{secret, signer, generation})
	}
	return err
}

// known calls f with an update or a view of what has an identity.
func (b *base) known(t kv.Tx, f func(kv.Tx) error) error {
	if err := b.know(t); err != nil {
		return err
	}
	return f(t)
}

// update changes what is stored.
func (b *base) update(ctx context.Context, f func(kv.Tx) error) error {
	return b.driver.Update(ctx, func(t kv.Tx) error { return b.known(t, f) })
}

// view reads what is stored.
func (b *base) view(f func(kv.Tx) error) error {
	return b.driver.View(func(t kv.Tx) error { return b.known(t, f) })
}

// Close waits for the changes that are being made, and closes the file.
func (s *Store) Close() error {
	s.end()
	s.sweeper.Wait()
	return s.driver.Close()
}

// Serve answers a call of a Client. It is a gateway.Config.OnInvoke.
func (s *Store) Serve(ctx context.Context, payload []byte) ([]byte, error) {
	var c call
	if err := json.Unmarshal(payload, &c); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	if s.served.Store(true); s.identity.Load() == nil {
		if err := s.meet(ctx); err != nil {
			return nil, err
		}
	}
	value, err := s.serve(ctx, c.Op, c.Arg)
	for range retries {
		if errors.Is(err, errNew) {
			err = s.meet(ctx)
		} else if !errors.Is(err, kv.ErrConflict) {
			break
		}
		if err == nil || errors.Is(err, kv.ErrConflict) {
			value, err = s.serve(ctx, c.Op, c.Arg)
		}
	}
	if r, ok := errors.AsType[*Refusal](err); ok {
		s.refusals.Add(1)
		return encode(result{Refusal: r}), nil
	}
	if err != nil {
		return nil, err
	}
	return encode(result{Value: encode(value)}), nil
}

// serve calls the operation with the name.
func (s *Store) serve(ctx context.Context, op string, arg []byte) (any, error) {
	switch op {
	case "login":
		return with(ctx, arg, s.people.login)
	case "find":
		return with(ctx, arg, s.people.find)
	case "gone":
		return with(ctx, arg, s.people.gone)
	case "member":
		return with(ctx, arg, s.people.member)
	case "post":
		return with(ctx, arg, s.conversations.post)
	case "read":
		return with(ctx, arg, s.conversations.read)
	case "change":
		return with(ctx, arg, s.conversations.change)
	case "mark":
		return with(ctx, arg, s.people.mark)
	case "block":
		return with(ctx, arg, s.people.block)
	case "password":
		return with(ctx, arg, s.people.setPassword)
	}
	return nil, fmt.Errorf("store: unknown operation %q", op)
}

// with decodes the argument of an operation and calls it.
func with[A, R any](ctx context.Context, arg []byte, f func(context.Context, *A) (R, error)) (any, error) {
	var a A
	if err := json.Unmarshal(arg, &a); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return f(ctx, &a)
}

// Stats are the figures of a Store. A uint64 counts since New or Open. An int is the present value.
type Stats struct {
	Conversations int // rooms and private talks with messages
	Messages      int
	Bytes         int // of the messages
	People        int // that are known
	// EvictedConversations were removed because there were Config.MaxConversations or MaxBytes.
	EvictedConversations uint64
	// EvictedMessages were removed with them, or because a conversation had Config.MaxMessages or
	// MaxConversationBytes.
	EvictedMessages uint64
	// ExpiredMessages were removed because they were older than Config.MaxAge.
	ExpiredMessages uint64
	// EvictedPeople were forgotten because there were Config.MaxPeople.
	EvictedPeople uint64
	// Refusals are calls that returned a Refusal.
	Refusals uint64
}

// Stats returns the figures.
func (s *Store) Stats() (Stats, error) {
	var all sums
	err := s.view(func(t kv.Tx) error {
		load(t, []byte{keySums}, &all)
		return nil
	})
	return Stats{
		Conversations: all.Conversations, Messages: all.Messages, Bytes: all.Bytes, People: all.People,
		EvictedConversations: s.evictedConversations.Load(), EvictedMessages: s.evictedMessages.Load(),
		ExpiredMessages: s.expiredMessages.Load(), EvictedPeople: s.evictedPeople.Load(), Refusals: s.refusals.Load(),
	}, err
}

// now returns the present time in Unix milliseconds.
func now() int64 { return time.Now().UnixMilli() }

// minute is the unit in which times are indexed.
const minute = int64(time.Minute / time.Millisecond)
