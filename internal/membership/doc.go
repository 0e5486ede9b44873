// Package membership keeps the rows of gateways in a directory. The row of a gateway leases its id,
// says where workers and other gateways reach it, and vanishes some seconds after the gateway.
//
// Nothing that clients and links do depends on the row. A gateway that cannot renew it goes on, and
// takes it again as soon as the directory answers: an outage, or the loss of all rows, costs
// nothing but that new gateways and workers wait.
package membership
