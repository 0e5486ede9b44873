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
//	PREFIX:generation     random text; in a Cluster sixteen of them, in slots that are far apart
//	PREFIX:changed:KIND   channel: something has changed in the index
//
// The index of a kind has for each row that may be held d<key>, whose score is when its lease
// expires, and for each recent change c<key>, whose score is the negative number of the change. p
// is the change before the oldest one that it has. Numbers are microseconds of the server's clock,
// or one more than the one before, so that a watcher notices an index that has begun anew. The
// index hints at rows: who watches reads the rows themselves. A hint that is lost comes with the
// next renewal.
package redisdir

// Rights returns the rights, as ACL SETUSER takes them, that a user needs for a prefix: its keys,
// its channels, and the commands of the scripts and of the client.
func Rights(prefix string) string {
	return "resetkeys ~" + prefix + ":* resetchannels &" + prefix + ":* -@all +@connection +@hash +@sortedset " +
		"+evalsha +eval +time +get +getex +set +pexpire +pttl +publish +subscribe +unsubscribe +info " +
		"+role +cluster|slots +cluster|shards"
}
