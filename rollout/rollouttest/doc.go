// Package rollouttest provides conformance suites for what plugs into a rollout engine:
// a splitter that divides live traffic in a proxy, gateway or service mesh; a sink for
// webhooks and chat messages; an observer; and an anchor of the audit trail. The suite of
// stores is package storetest.
//
// Each suite is one function that takes a function which opens the implementation:
//
//	func TestConformance(t *testing.T) {
//		rollouttest.Splitter(t, func(t *testing.T) rollout.Splitter { return newPlane(t) })
//	}
//
// A suite opens a new implementation for each of its parts. open closes resources with
// t.Cleanup. Run the suites with the race detector. A call that takes longer than 30 s
// counts as hanging.
package rollouttest
