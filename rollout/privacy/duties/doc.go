// Package duties keeps what privacy laws demand by a time: requests of data subjects with
// their clocks (GDPR, CCPA), and how long data is kept (retention).
//
//	requests, err := duties.OpenRequests(ctx, ledger.Notebook(service), pseudonyms, known)
//	...
//	_, err = requests.Receive(ctx, "alice", duties.Request{ID: "T-17", Kind: duties.Erasure, Law: duties.GDPR})
//	suite["requests"] = requests.Check() // warns five days before the end of the time
//
// A record of requests has pseudonyms and no people. [Retention] decides which part of a
// record may be removed, and which must be. It removes nothing.
//
// The times and articles are hooks for engineers, not legal advice.
//
// # Dependencies
//
// The standard library.
package duties
