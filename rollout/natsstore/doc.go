// Package natsstore stores rollouts in a NATS JetStream bucket, for several processes.
// It is a [rollout.Store]. The engine also needs the name of a replica. By default it
// makes one up:
//
//	store, err := natsstore.Open(ctx, natsstore.Config{
//		URL:     "nats://n1,nats://n2,nats://n3",
//		Monitor: []string{"http://n1:8222", "http://n2:8222", "http://n3:8222"},
//	})
//	...
//	engine, err := rollout.Open(ctx, rollout.Config{Store: store, Replica: hostname, ...})
//
// # What it promises
//
// No split brain while servers are killed, paused and cut off, as long as most
// of the bucket's replicas live. It does not hold against damaged disks, nor
// against loss of power unless the servers write through to the disk. JetStream's
// defaults do not give that much, so Open checks what it depends on and refuses to
// work otherwise, unless [Config].DangerouslyAllowUnsafe says that it may:
//
//   - the bucket has three replicas or more, on files;
//   - reads go to the bucket's leader. By default any replica answers, and a
//     few in a hundred answers are older than what was acknowledged;
//   - nothing in the bucket expires, is dropped for want of space, or comes from
//     elsewhere, and no message can be removed from it;
//   - each server has sync_interval: always, as its monitoring endpoint says. By
//     default a server writes to the disk every two minutes, and loses what it
//     has acknowledged since when its power fails;
//   - servers are of version 2.12.7 or later, as earlier ones let some clients
//     pass by the permissions.
//
// Open creates the bucket as it has to be if it is not there. The bucket can be
// looked at as a key-value bucket with the tools of NATS; nothing but this package
// should write to it. Who can write it can forge approvals; keep checkpoints of the
// audit trail elsewhere (package rollout/audit).
//
// A key that the engine deletes leaves a message of some hundred bytes that says so.
// List looks at each of them, so it takes longer where much was deleted.
//
// Needed rights: to create or to look at the stream KV_<bucket>, to publish to
// $KV.<bucket>.>, to read its messages ($JS.API.STREAM.MSG.GET) and to create
// consumers on it.
//
// # Dependencies
//
// github.com/nats-io/nats.go: the client. It is why this is a module of its own.
package natsstore
