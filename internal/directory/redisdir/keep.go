package redisdir

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/seed-7410fe32/sluice/internal/backoff"
	"github.com/seed-7410fe32/sluice/internal/directory"
)

const (
	// interval is how often the keeper looks whether Redis answers, and which data it has.
	interval = time.Second
	// firstPause and lastPause are how long the keeper waits after attempts that failed.
	firstPause, lastPause = 50 * time.Millisecond, 2 * time.Second
	// attempts is after how many attempts that failed the keeper opens a new client: its addresses are
	// resolved again, its files are read again.
	attempts = 4
	// markTTL is the life of the keys of the generation, which begins again every markRenewal.
	markTTL, markRenewal = 30 * 24 * time.Hour, 12 * time.Hour
)

// keep looks after the connection until Close. It closes first after the first attempt.
func (s *server) keep(first chan<- struct{}) {
	defer s.disconnect()
	var renewed time.Time
	for failures := 0; ; {
		generation, err := s.look(&renewed)
		if s.ctx.Err() != nil {
			return
		}
		pause := interval
		if err == nil {
			failures = 0
			s.set(directory.State{Up: true, Generation: generation}, nil)
		} else {
			failures++
			s.down(err)
			pause = backoff.Delay(firstPause, lastPause, failures)
			if failures%attempts == 0 {
				s.disconnect()
			}
		}
		if first != nil {
			if err != nil && refusalOf(err) == "" { // set has logged a refusal
				s.cfg.Logger.Warn("directory does not answer", "err", err)
			}
			close(first)
			first = nil
		}
		pause += time.Duration(rand.Int64N(int64(pause)/2)) - pause/4
		wait := time.NewTimer(pause)
		select {
		case <-s.ctx.Done():
		case <-wait.C:
		case <-s.failedWhile(err == nil):
			backoff.Sleep(s.ctx, firstPause)
		}
		wait.Stop()
	}
}

// failedWhile returns a channel that says that a call has failed. During an outage that is no news.
func (s *server) failedWhile(up bool) <-chan struct{} {
	if up {
		return s.failed
	}
	return nil
}

// connect opens the client if there is none.
func (s *server) connect() (rueidis.Client, error) {
	if c := s.client.Load(); c != nil {
		return *c, nil
	}
	option, err := s.cfg.option(s.target)
	if err != nil {
		return nil, err
	}
	client, err := rueidis.NewClient(option)
	if err != nil {
		return nil, err
	}
	if err := s.checkForm(client); err != nil {
		client.Close()
		return nil, err
	}
	s.client.Store(&client)
	s.warn(client)
	return client, nil
}

// These are the errors about a URL of another form than the server has. A client would accept both:
// a Cluster of one server that is none, and a node that refuses most keys.
var (
	errNoCluster = errors.New("the server is no Cluster: write redis:// instead of redis+cluster://")
	errCluster   = errors.New("the server is a node of a Cluster: write redis+cluster://")
)

// checkForm returns an error if the URL says Cluster and the server is none, or the reverse.
func (s *server) checkForm(client rueidis.Client) error {
	ctx, cancel := s.bounded(s.ctx)
	defer cancel()
	for _, node := range client.Nodes() {
		info, err := node.Do(ctx, node.B().Info().Section("cluster").Build()).ToString()
		if err != nil {
			continue // the look at the generation finds out why
		}
		switch enabled := field(info, "cluster_enabled"); {
		case s.target.Cluster && enabled == "0":
			return errNoCluster
		case !s.target.Cluster && enabled == "1":
			return errCluster
		}
	}
	return nil
}

// warn logs when a server may remove rows or sets to make room: then rows have two owners, and
// sends miss members.
func (s *server) warn(client rueidis.Client) {
	ctx, cancel := s.bounded(s.ctx)
	defer cancel()
	for addr, node := range client.Nodes() {
		info, err := node.Do(ctx, node.B().Info().Section("memory").Build()).ToString()
		policy := field(info, "maxmemory_policy")
		if limit := field(info, "maxmemory"); err == nil && limit != "0" && policy != "noeviction" {
			s.cfg.Logger.Warn("redis may evict what it is to keep: set maxmemory-policy to noeviction",
				"addr", addr, "maxmemory", limit, "policy", policy)
		}
	}
}

func (s *server) disconnect() {
	if c := s.client.Swap(nil); c != nil {
		(*c).Close()
	}
}

// look asks Redis for its generation.
func (s *server) look(renewed *time.Time) (generation string, err error) {
	client, err := s.connect()
	if err != nil {
		return "", err
	}
	ctx, cancel := s.bounded(s.ctx)
	defer cancel()
	return s.generation(ctx, client, renewed)
}

// generation asks Redis for its generation. renewed is when the keys of the generation were
// renewed; nil leaves them as they are.
func (s *server) generation(ctx context.Context, client rueidis.Client, renewed *time.Time) (string, error) {
	again := renewed != nil && time.Since(*renewed) > markRenewal
	questions := make(rueidis.Commands, len(s.marks))
	for i, mark := range s.marks {
		if again {
			questions[i] = client.B().Getex().Key(mark).ExSeconds(int64(markTTL.Seconds())).Build()
		} else {
			questions[i] = client.B().Get().Key(mark).Build()
		}
	}
	if !s.target.Cluster { // of a Cluster each node is asked
		questions = append(questions, client.B().Info().Section("replication").Build())
	}
	answers := client.DoMulti(ctx, questions...)
	texts, err := s.values(ctx, client, answers[:len(s.marks)])
	if err != nil {
		return "", err
	}
	servers, err := s.primaries(ctx, client, answers[len(s.marks):])
	if err != nil {
		return "", err
	}
	if again {
		*renewed = time.Now()
	}
	texts = append(texts, servers...)
	slices.Sort(texts)
	sum := sha256.Sum256([]byte(strings.Join(texts, " ")))
	return hex.EncodeToString(sum[:8]), nil
}

// primaries returns the identity of each primary. A replica that becomes the primary has another
// one, and so has a server that starts again.
func (s *server) primaries(ctx context.Context, client rueidis.Client,
	answers []rueidis.RedisResult) (ids []string, err error) {
	if s.target.Cluster {
		for _, node := range client.Nodes() {
			answers = append(answers, node.Do(ctx, node.B().Info().Section("replication").Build()))
		}
	}
	for _, answer := range answers {
		info, err := answer.ToString()
		switch id := field(info, "master_replid"); {
		case err != nil && s.target.Cluster && ctx.Err() == nil:
			// A node that is down has a replica, or its slots are not served.
		case err != nil:
			return nil, err
		case field(info, "role") == "master" && id != "":
			ids = append(ids, id)
		}
	}
	if ids == nil {
		return nil, fmt.Errorf("none of %v is a primary", s.target.Hosts)
	}
	return ids, nil
}

// field returns a value of INFO.
func field(info, name string) string {
	_, rest, _ := strings.Cut(info, "\n"+name+":")
	value, _, _ := strings.Cut(rest, "\r")
	return value
}

// values returns the values of the keys of the generation. A key that is missing gets a random
// value.
func (s *server) values(ctx context.Context, client rueidis.Client, answers []rueidis.RedisResult) ([]string, error) {
	values := make([]string, len(answers))
	for i, answer := range answers {
		value, err := answer.ToString()
		for rueidis.IsRedisNil(err) {
			set := client.B().Set().Key(s.marks[i]).Value(strconv.FormatUint(rand.Uint64(), 36)).Nx().
				ExSeconds(int64(markTTL.Seconds())).Build()
			if err = client.Do(ctx, set).Error(); err == nil || rueidis.IsRedisNil(err) {
				value, err = client.Do(ctx, client.B().Get().Key(s.marks[i]).Build()).ToString()
			}
		}
		if err != nil {
			return nil, err
		}
		values[i] = value
	}
	return values, nil
}

// clusterMarks is how many keys a generation has in a Cluster: each is in another sixteenth of the
// slots, so that a node that has lost its data has lost one of them.
const clusterMarks = 16

// marks returns the keys of the generation.
func marks(prefix string, cluster bool) (keys []string) {
	if !cluster {
		return []string{prefix + ":generation"}
	}
	for i := range clusterMarks {
		for n := 0; ; n++ {
			key := fmt.Sprintf("%s:generation:{%d}", prefix, n)
			if slot(strconv.Itoa(n))/(slots/clusterMarks) == i {
				keys = append(keys, key)
				break
			}
		}
	}
	return keys
}

// slots is how many slots a Cluster has.
const slots = 16384

// slot returns the slot of a hash tag: its CRC16 in the form of XMODEM, as the specification of
// Redis Cluster says.
func slot(tag string) int {
	var crc uint16
	for i := range len(tag) {
		crc ^= uint16(tag[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return int(crc % slots)
}
