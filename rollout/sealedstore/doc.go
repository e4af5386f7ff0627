// Package sealedstore encrypts the values of any store of rollouts at rest: AES-256-GCM, with
// data keys per target that a keyring or a key management service (KMS) wraps.
//
//	keys, err := privacy.ReadKeyring("/etc/serin/keys")
//	...
//	store, err := sealedstore.New(ctx, sealedstore.Config{Store: bolt, Keys: keys})
//	...
//	engine, err := rollout.Open(ctx, rollout.Config{Store: store, Checks: map[string]checks.Check{"sealed": store.Check()}})
//
// Names, reasons and evidence are in the values. The keys of entries stay in clear: they name
// targets and numbers, and stores need their order. A value opens under its own key alone. An
// older value of the same key opens, too; the chain of the audit trail finds that.
// A value that is too large for the store once it is sealed is kept in two parts; after a
// crash, the second part of a value that was replaced may stay, sealed.
//
// # Keys
//
// A value holds its data key, wrapped by a key of the keyring, so no other state is needed. A
// process makes a new data key for each target every hour. To rotate the wrapping key, put a
// new one first in the keyring, restart, and call [Store.Reseal]; then the old one can be
// removed. Bind [Store.Check] in the checks of an engine: its digest is the digest of the
// wrapping key, which the engine writes into the documents of rollouts.
//
// # Migration
//
// A store with plain values is refused value by value. Open it with Plain set, call
// [Store.Reseal], and open it again without. Copies of plain values stay in what the file or
// the database has not yet overwritten, and in backups.
//
// # Dependencies
//
// The standard library.
package sealedstore
