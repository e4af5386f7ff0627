// Package sticky provides session affinity for canary and A/B splits: it remembers
// the arms of conversations and users. Its [Store] is a [traffic.Sticky] in the memory
// of one process:
//
//	store, err := sticky.New(sticky.Config{Idle: 30 * time.Minute})
//	...
//	router, err := traffic.New(traffic.Config{
//		Unit:   func(r *http.Request) string { return r.Header.Get("X-Conversation") },
//		Sticky: store,
//		...
//	})
//
// A router gives equal units equal arms without a Store: a hash does that, on every
// replica and without memory. A Store is for units that must not move while the weights
// do, such as conversations, whose next turn would pay for its whole prefix again
// and whose tool calls the other version may write differently.
//
// # Identity
//
// A unit is the string that the router's Unit function returns. A unit that is longer
// than 128 bytes or has characters that cannot be printed is kept as the first 128
// bits of its SHA-256, in hexadecimal digits: the store takes units from outside, and
// neither a long one nor a binary one may cost more than others.
//
// # Memory
//
// Memory is bounded by units and by bytes, the units themselves included. What was not
// asked for the longest goes first, and its unit is then given an arm by the weights.
// Several processes do not share a Store; where requests of one unit go to different
// processes, implement [traffic.Sticky] over what they share.
//
// The cache below is otter, chosen because a value can be read as soon as it was written: with a
// cache that admits later, or not at all, two requests of one page would meet two
// versions.
package sticky
