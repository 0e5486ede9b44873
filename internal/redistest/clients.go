package redistest

import (
	"runtime"
	"strings"
	"time"
)

// AwaitClients waits until closed clients of Clusters have ended. A client closes connections to
// nodes that it does not need any more after five seconds, also if it is closed itself meanwhile,
// and leaktest.Main would find them. It calls this function first.
func AwaitClients() {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		stacks := make([]byte, 4<<20)
		if !strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "(*clusterClient)._refresh") {
			return
		}
	}
}
