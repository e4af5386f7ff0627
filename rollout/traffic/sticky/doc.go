// Package sticky answers which arm somebody was given the last time. Its [Store]
// is a [traffic.Sticky] in the memory of one process:
//
//	store, err := sticky.New(sticky.Config{Idle: 30 * time.Minute})
//	...
//	router, err := traffic.New(traffic.Config{
//		Unit:   func(r *http.Request) string { return r.Header.Get("X-Conversation") },
//		Sticky: store,
//		...
//	})
//
// A router needs none to give equal units equal arms: a hash does that, on every
// replica and without memory. It is for units that must not move while the weights
// do, such as conversations, whose next turn would pay for its whole prefix again
// and whose tool calls the other version may write differently.
//
// Memory is bounded: what was not asked for the longest goes first, and its unit is
// then given an arm by the weights. Several processes do not share a Store; where
// requests of one unit go to different processes, implement [traffic.Sticky] over
// what they share.
//
// The cache below is otter, chosen because what was put can be got at once: with a
// cache that admits later, or not at all, two requests of one page would meet two
// versions.
package sticky
