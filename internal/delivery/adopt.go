package delivery

import "slices"

// A client that no worker has, and that has nothing to deliver, is parked. A worker adopts it soon
// nevertheless, so that workers know all clients. A worker that ends may leave a hundred thousand
// of them: they are adopted at a pace, which the Host sets, and only as fast as workers acknowledge
// them. A parked client that sends something, or goes, is adopted at once.

// maxAttaching bounds the clients of a link whose ATTACH is not acknowledged. Beyond it the link
// gets no parked clients, so that functions which hang do not hold ever more of them.
const maxAttaching = 1024

// adoptions are the parked clients of a loop.
type adoptions struct {
	next  []*Client // longest parked first; some have a worker by now; bound: lists of clients
	due   int       // how many wait
	paced bool      // the Host is going to call Adopt
}

// add adds a client that is parked.
func (a *adoptions) add(c *Client) {
	c.flags |= adoptDue
	a.due++
	if c.flags&inAdoptions == 0 {
		c.flags |= inAdoptions
		a.next = append(a.next, c)
	}
}

// leave notes that a client is not parked any more, if it was.
func (a *adoptions) leave(c *Client) {
	if c.flags&adoptDue != 0 {
		c.flags &^= adoptDue
		a.due--
	}
}

// take removes the next client, which may wait no more.
func (a *adoptions) take() *Client {
	c := a.next[0]
	a.next[0] = nil
	a.next = a.next[1:]
	c.flags &^= inAdoptions
	return c
}

// trim removes those that do not wait, when they are most.
func (a *adoptions) trim() {
	if len(a.next) <= 2*a.due+keptAdoptions {
		return
	}
	a.next = slices.DeleteFunc(a.next, func(c *Client) bool {
		if c.flags&adoptDue != 0 {
			return false
		}
		c.flags &^= inAdoptions
		return true
	})
}

// keptAdoptions is how many clients may be in the list that do not wait.
const keptAdoptions = 64

// pace asks for the next Adopt if clients wait and there are workers.
func (a *adoptions) pace(h Host) {
	if a.due > 0 && !a.paced && !h.Alone() {
		a.paced = true
		h.PaceAdoptions()
	}
}
