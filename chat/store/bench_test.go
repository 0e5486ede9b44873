package store_test

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/seed-7410fe32/sluice/chat/store"
)

// BenchmarkPost posts messages by one and by 64 people at a time to a room that is full.
func BenchmarkPost(b *testing.B) {
	for kind, open := range kinds {
		for _, people := range []int{1, 64} {
			b.Run(fmt.Sprint(kind, "/", people), func(b *testing.B) {
				st, err := open(b.TempDir(), store.Config{Logger: slog.New(slog.DiscardHandler)})
				if err != nil {
					b.Fatal(err)
				}
				defer func() { _ = st.Close() }()
				c := store.Client{Invoke: st.Serve}
				var n atomic.Int64
				post := func() {
					i := n.Add(1)
					_, err := c.Post(b.Context(), &store.Post{
						UID: "1a227f94154v3edhhngeijwo", Name: "Ada", Room: fmt.Sprint("r", i%8), Author: fmt.Sprint(i % 16),
						Text: "a message of an ordinary length, as people write them", Key: fmt.Sprint(i),
					})
					if err != nil {
						b.Error(err)
					}
				}
				b.ReportAllocs()
				b.SetParallelism(max(people/2, 1))
				if people == 1 {
					for b.Loop() {
						post()
					}
					return
				}
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						post()
					}
				})
			})
		}
	}
}
