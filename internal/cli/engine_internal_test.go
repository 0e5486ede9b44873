package cli

import "testing"

// An address that only this machine can use is told apart from others.
func TestLeadsHere(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]bool{
		"127.0.0.1:2300": true, "localhost:0": true, "[::1]:2300": true, "[::1]": true, "127.0.0.2": true,
		"127.0.0.1:1,10.0.0.1:1": true,
		"10.0.0.1:2300":          false, "gateway.example:1": false, "0.0.0.0:1": false, ":2300": false, "": false,
		"redis": false, "10.0.0.1,127.0.0.1": false,
	} {
		if got := leadsHere(addr); got != want {
			t.Errorf("%q: %v", addr, got)
		}
	}
}
