// Package etcd holds no code for users. Its tests run the suite of package
// storetest over etcd, whose rules are the strictest there are: what the suite
// holds against etcd is a mistake in the suite. The driver in them, short as it is,
// also shows what a store of one's own takes.
//
// # Dependencies
//
// go.etcd.io/etcd/client/v3: the client. It is why this is a module of its own.
package etcd
