// Package store keeps what a chat must not forget: the messages of rooms and private talks, names,
// and what each person has read, joined and blocked. One Store serves all workers. It is in the
// process of a gateway, whose Config.OnInvoke is Store.Serve, and workers call it through a Client:
//
//	st, err := store.Open("/var/lib/chat", store.Config{})
//	...
//	g, err := gateway.New(gateway.Config{OnInvoke: st.Serve, ...})
//
// A Store is in the memory of its process (New), or in a file (Open). With a file, a call returns
// when its changes are on disk: what a worker was told survives the end of the process, also by
// SIGKILL or a loss of power. Changes that are made at the same time share one write to the disk.
// Only the rate limits are always in memory.
//
// Everything is bounded by count, bytes and age (Config). The oldest is removed first, and counted
// (Stats).
package store
