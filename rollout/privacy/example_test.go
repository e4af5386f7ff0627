package privacy_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/ledger"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/rollout/privacy"
)

func ExampleRedactor() {
	r, err := privacy.NewRedactor(privacy.Config{
		Operators: map[privacy.Kind]privacy.Operator{privacy.Card: privacy.Mask(4)},
		Detectors: []privacy.Detector{{Kind: "customer", Prefix: "C-", Of: "0123456789", Min: 6, Max: 6}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Text("Customer C-123456, alice@example.com, pays with 4111 1111 1111 1111."))
	// Output:
	// Customer [CUSTOMER], [EMAIL], pays with **** **** **** 1111.
}

// An address that comes in two pieces is found.
func ExampleStream() {
	r, err := privacy.NewRedactor(privacy.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	s := r.Stream()
	for _, token := range []string{"Write ", "to ", "alice", "@example", ".com", " today."} {
		fmt.Printf("%q ", s.Append(nil, []byte(token)))
	}
	fmt.Printf("%q\n", s.Flush(nil))
	// Output:
	// "Write " "to " "" "" "" "[EMAIL] " "today."
}

// A field opens until its person is erased.
func ExampleVault() {
	ctx := context.Background()
	record, err := ledger.Open(ctx, ledger.Config{Store: new(memstore.Store)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer record.Close()
	secret := []byte("a secret of 32 bytes, for tests.") // in production, from ReadKeyring or a KMS
	keys, err1 := privacy.NewKeyring(privacy.WrappingKey{ID: "2026-11", Secret: secret})
	names, err2 := privacy.NewPseudonyms(privacy.PseudonymKey{ID: "k1", Secret: secret})
	if err := errors.Join(err1, err2); err != nil {
		fmt.Println(err)
		return
	}
	vault, err := privacy.OpenVault(ctx, privacy.VaultConfig{
		Purpose: "feedback", Keys: keys, People: new(privacy.MemoryKeys), Pseudonyms: names,
		Notes:  record.Notebook(rollout.Actor{Name: "gateway"}),
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	sealed, err := vault.Seal(ctx, "alice", "comment", []byte("it was wrong"))
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := vault.Open(ctx, "alice", "comment", sealed)
	fmt.Println(string(text), err)
	if _, err := vault.Erase(ctx, privacy.Erasure{People: []string{"alice"}, By: "pia", Why: "request 17"}); err != nil {
		fmt.Println(err)
		return
	}
	_, err = vault.Open(ctx, "alice", "comment", sealed)
	fmt.Println(err)
	// Output:
	// it was wrong <nil>
	// privacy: the person was erased
}
