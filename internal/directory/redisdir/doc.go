// Package redisdir is a directory in Redis, for several gateways and workers: Redis 6.2 or later,
// or Valkey, as one server, with Sentinel, or as a Cluster.
//
// # Keys
//
// Each script runs on one key, so that a Cluster may move slots while it runs. PREFIX is that of
// the Config:
//
//	PREFIX:row:KEY        hash: owner, epoch, version, value (d), when the lease expires (x, ms)
//	PREFIX:index:KIND     sorted set, see below
//	PREFIX:set:KIND:NAME  hash: m<gateway>.<epoch> -> when it expires and the number of the call,
//	                      r<gateway>.<loop> -> when it expires
//	PREFIX:mail:GATEWAY   sorted set: message -> when it was posted
//	PREFIX:generation     random text; in a Cluster sixteen of them, in slots that are far apart
//	PREFIX:changed:KIND   channel: something has changed in the index
//
// The index of a kind has for each row that may be held d<key>, whose score is when its lease
// expires, and for each recent change c<key>, whose score is the negative number of the change. p
// is the change before the oldest one that it has. Numbers are microseconds of the server's clock,
// or one more than the one before, so that a watcher notices an index that has begun anew. The
// index hints at rows: who watches reads the rows themselves. A hint that is lost comes with the
// next renewal.
//
// # What it costs
//
// Every key has a time to live. Bytes in Redis 7.0, at most (TestMemory):
//
//	a row                550 + key + owner + value, until Keep after its lease
//	its place in lists   300 + 2 key, 2 h after the last claim or renewal of its kind
//	a set, 1 gateway     250 + name, EntryTTL after the last Enter
//	each more entry      150: a gateway, or a reader for twice its lease
//	a message            100 + twice its length, MailTTL after the last Post for its gateway
//
// So a gateway with g groups and u uids takes (g+u) x (250 + name) if each of them is nowhere else,
// and (g+u) x 150 if each is everywhere.
//
// Commands a second, and microseconds of the server's processor for them. INFO counts commands
// within scripts, too: it shows two to five times as many.
//
//	a client, idle       2, 55 us: the generation and the server's identity; in a Cluster 16 and one
//	                     for each node
//	a Watch              1, 60 us, and for each change 1 and two for each row that has changed
//	a Lease of 10 s      0.9, 11 us: two for each renewal
//	a gateway's sets     (g+u) / 600: each is entered again within a third of EntryTTL
//	                     one for each Enter, Leave and Locate of a set
//	a gateway's box      1, 25 us: each is fetched from every second
//
// A command in a batch takes 3 to 11 us, a single one 25 us (BenchmarkCalls). For each entry of a
// set an Enter takes 0.5 us more, a Locate 0.8 us.
//
// # What it promises when Redis fails
//
// Calls fail at once with directory.ErrUnavailable as soon as a call or the look at each second has
// failed, and are made again within 4 s of Redis's return, or within 5 s of a fail-over of which
// the Sentinels' notice was lost. Redis replicates without waiting. So a fail-over may lose the
// last writes; the generation changes, and within about a second each client knows it. Until then
// two owners may hold a row. Their epochs differ, the later one's is larger, if the clocks of the
// two servers differ by less than the fail-over takes. A Redis that must not lose writes has
// min-replicas-to-write.
//
// # Rights
//
// A user of Redis needs these (ACL SETUSER), and no others:
//
//	~PREFIX:* &PREFIX:* +@connection +@hash +@sortedset +evalsha +eval +time +get +getex +set
//	+pexpire +pttl +publish +subscribe +unsubscribe +info +role +cluster|slots +cluster|shards
package redisdir
