// Package natscluster connects the workers of a distributed load test with their
// coordinator over NATS, where both reach the servers of NATS but not each other.
//
// The coordinator listens at a subject, and workers dial it:
//
//	l, err := natscluster.Listen(conn, "loadtest.chat")
//	...
//	go coordinator.Serve(l)
//
//	err := worker.Join(ctx, func(ctx context.Context) (net.Conn, error) {
//		return natscluster.Dial(ctx, conn, "loadtest.chat")
//	})
//
// The coordinator and the workers need the same token; see [cluster.Config].
//
// # How it works
//
// A connection is two inboxes. Bytes are sent as messages of up to 32 KiB, with a number
// each, and at most 1 MiB is under way in each direction. Core NATS can lose messages, such
// as when a server fails. A connection breaks when a message is lost, which is what the
// cluster expects of a network: the worker joins again, and the report has the requests
// whose outcome is unknown.
//
// # Security
//
// The token authenticates both ends, but does not encrypt. Connect to NATS over TLS, and
// permit the subject and the inboxes ("_INBOX.>", or the prefix of
// [nats.CustomInboxPrefix]) to the machines of the load test only: who may subscribe to
// them can read plans and results.
package natscluster
