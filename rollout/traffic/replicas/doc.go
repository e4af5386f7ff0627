// Package replicas provides load balancing, hedging and queueing over the servers of one
// model version. A [Pool] is an [http.RoundTripper] over several equal servers, for the
// backend of an arm of package traffic:
//
//	pool, err := replicas.New(replicas.Config{Replicas: []replicas.Replica{{URL: "http://10.0.0.1:8000"}, {URL: "http://10.0.0.2:8000"}}})
//	router, err := traffic.New(traffic.Config{Arms: map[string]traffic.Backend{
//		"1.5.0": {URL: "http://chat-1-5-0", Transport: pool},
//	}})
//
// # Load balancing
//
// [PowerOfTwo] looks at two servers by chance and takes the one with less to do: of
// requests in flight and time to the first byte, since requests to models differ too
// much for their number alone to decide (Mitzenmacher 2001; Prequal, Wydrowski et al.
// 2024). [Affine] sends equal keys to the same server, whose prompt cache knows them
// already, as long as that has no more than 1.25 times its share of the load, and to
// the next one then (Mirrokni, Thorup and Zadimoghaddam 2018, over weighted
// rendezvous hashing): take the conversation as the key, or the beginning of the
// prompt ([PromptPrefix]). When servers come or go, only their keys move.
//
// # Ejection
//
// A server whose health check does not pass, twice in a row; one that is being
// removed; and one that has failed [Config].EjectAfter times in a row while another
// one has succeeded since the first of these failures. The last condition is what
// makes the rule fit for two servers, where limits in percent mean nothing: if all
// fail, it is not the server. An ejection lasts ten seconds, and longer each time;
// a server that returns, or is new, gets a growing share for [Config].SlowStart. If no
// server is left, all that are not being removed are tried.
//
// # Failures
//
// A request that found no server, or was answered by 502 or 503, is sent once more,
// to another one, if its body can be had again; a budget keeps that below a fifth of
// all requests. What has begun to be answered is never sent again. [Config].Hedge
// sends a second one to another server when no header has come for a while; the
// first to answer wins, and the other is given up.
//
// # Dependencies
//
// The standard library and xxhash; of this module checks.
package replicas
