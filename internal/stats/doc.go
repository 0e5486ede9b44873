// Package stats has the values that say how calls went: how many of which kind, how many of them
// failed and with which codes, how long they took, and what the failures said. Workers record them,
// gateways pass them on, and a keeper merges them. The encoding is bounded in both directions.
//
// A Report is what one process has counted since its report before. Its source and sequence number
// are its identity: a keeper that takes each identity once counts each call once, however often a
// report is sent.
//
//	report    version u8 (1) · source 16 B · sequence uvarint · node `name` · from i64 · to i64
//	          · lost failures uvarint · number of rows uvarint · rows · number of failures uvarint · failures
//	row       module `name` · interface `name` · number of codes uvarint · codes · latency
//	code      what it is larger than the one before (the first: than 0) uvarint · calls uvarint
//	latency   version u8 (1) · sum uvarint · longest uvarint · number of buckets uvarint · buckets
//	bucket    its distance from the one before (the first: from 0) uvarint · calls uvarint
//	failure   time i64 · module `name` · interface `name` · code uvarint · address `name`
//	          · text (length uvarint, then the bytes)
//
// `name` is a u8 length and that many bytes. Times are milliseconds since 1970, sum and longest are
// nanoseconds. Fixed numbers are big-endian, uvarint is that of encoding/binary. Only buckets with
// calls are encoded. The calls of a row are those of its latency; those without a code succeeded.
package stats
