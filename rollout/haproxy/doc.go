// Package haproxy splits traffic for canary and A/B rollouts in HAProxy. Its
// [Splitter] is a rollout.Splitter that sets the weights of a backend's servers over
// HAProxy's Runtime API, and reads back what is in force:
//
//	splitter, err := haproxy.New(haproxy.Config{
//		Address: "/run/haproxy/admin.sock",
//		Backend: "chat",
//		Arms:    map[string][]string{"1.4.0": {"blue"}, "1.5.0": {"green"}},
//	})
//	...
//	engine, err := rollout.Open(ctx, rollout.Config{
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
// Weights of servers are whole numbers from 0 to 256. A [Splitter] finds the smallest
// weights that come nearest to the split. With one server for each of two arms, whole
// percents are exact, except that shares near a half are off by less than 0.1 %; the
// smallest share is 1 in 257 (0.39 %). [Splitter.CanSplit] refuses a split that is off
// by more than [Config].Tolerance, or by more than a tenth of an arm's share, before a
// rollout begins. It also refuses rules and mirrors, which a runtime API cannot add.
//
// HAProxy assigns each request at random: users do not stay with an arm, and the
// split's salt has no meaning. A cookie or a stick table in HAProxy's configuration
// gives session affinity. The share of requests then follows the weights only as new
// users come; see [Splitter.Describe].
//
// # Zero means zero
//
// A server of weight 0 gets no new requests, and its streams continue to their end.
// Where a cookie or a table would still send returning users to it, the server is also
// put into maintenance, until its arm gets weight again. Servers of the backend that belong to no arm of
// the split are set to 0 if [Config].Arms names them; any other server that
// still has weight is an error, since it would take traffic from all arms.
//
// # Limits
//
// The weights of several servers do not change in one instant. Weights that rise are
// set first, so that some server always has weight. A restart of HAProxy restores the
// weights of its file, unless it loads a server state file, so the file should send
// everything to the baseline. A Splitter controls one HAProxy. It measures no requests;
// that needs a rollout.Measurer.
//
// # Dependencies
//
// The standard library, and package strategies.
package haproxy
