// Package haproxy answers how a rollout moves traffic that HAProxy divides. Its
// [Splitter] is a rollout.Splitter that sets the weights of a backend's servers
// over HAProxy's Runtime API, and reads back what is in force:
//
//	splitter, err := haproxy.New(haproxy.Config{
//		Address: "/run/haproxy/admin.sock",
//		Backend: "chat",
//		Arms:    map[string][]string{"1.4.0": {"blue"}, "1.5.0": {"green"}},
//	})
//	...
//	engine, err := rollout.New(rollout.Config{
//		Targets: map[string]rollout.Splitter{"chat": splitter}, ...
//
// HAProxy needs a socket of level admin and a balancing algorithm that takes
// weights at run time (roundrobin, random, leastconn, or a hash with hash-type
// consistent):
//
//	global
//	    stats socket /run/haproxy/admin.sock mode 600 level admin
//	backend chat
//	    balance roundrobin
//	    option http-no-delay # or HAProxy holds each event of a stream back for up to 200 ms
//	    server blue  10.0.0.14:8000 weight 1
//	    server green 10.0.0.15:8000 weight 0
//
// # What it can do
//
// Weights of servers are whole numbers from 0 to 256. A [Splitter] finds the
// smallest ones that come nearest to the split; with one server for each of two
// arms every whole percent is exact but for those near a half, which are off by
// less than 0.1 %, and the smallest share is 1 in 257 (0.39 %). What is further off
// than [Config].Tolerance, or by more than a tenth of the arm's share, is refused
// by [Splitter.CanSplit] before a rollout begins. Rules and mirrors are refused:
// a runtime API cannot add them.
//
// HAProxy draws each request anew: nobody stays with an arm, and the split's salt
// has no meaning. A cookie or a stick table in HAProxy's own configuration keeps
// users where they are, and then the share of requests follows the weights only
// as new users come; [Splitter.Describe] says which it is.
//
// # Zero means zero
//
// A server of weight 0 gets no new requests, and the streams that it is serving
// end in peace. Where a cookie or a table would send returning users to it
// nevertheless, the server is put into maintenance as well, and taken out of it
// when its arm gets weight again. Servers of the backend that belong to no arm of
// the split are set to 0 if [Config].Arms names them; any other server that
// still has weight is an error, since it would take traffic from all arms.
//
// # Limits
//
// The weights of several servers are not changed at one instant: those that rise
// are set first, so that at no moment everything is zero. A restart of HAProxy
// brings the weights of its file back (unless it loads a server state file), so
// the file should send everything to the baseline. A Splitter speaks with one
// HAProxy; it measures no requests, which needs a rollout.Measurer beside it.
//
// # Dependencies
//
// The standard library, and package strategies.
package haproxy
