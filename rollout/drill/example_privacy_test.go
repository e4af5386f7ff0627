package drill_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"testing/fstest"
	"time"

	"github.com/serin-go/serin/rollout/drill"
	"github.com/serin-go/serin/rollout/memstore"
	"github.com/serin-go/serin/rollout/privacy"
	"github.com/serin-go/serin/rollout/sealedstore"
)

// The raw files of this store are its values in memory. Those of a real one are
// os.DirFS(folder).
func ExampleEncrypted() {
	ctx := context.Background()
	keys, err := privacy.NewKeyring(privacy.WrappingKey{ID: "2026", Secret: []byte("a secret of 32 bytes, for tests.")})
	if err != nil {
		fmt.Println(err)
		return
	}
	disk := new(memstore.Store)
	store, err := sealedstore.New(ctx, sealedstore.Config{Store: disk, Keys: keys})
	if err != nil {
		fmt.Println(err)
		return
	}
	res := drill.Encrypted(drill.EncryptedOptions{
		Files: func(ctx context.Context) (fs.FS, error) {
			files := fstest.MapFS{}
			for e, err := range disk.List(ctx, "") {
				if err != nil {
					return nil, err
				}
				files[e.Key] = &fstest.MapFile{Data: e.Value}
			}
			return files, nil
		},
		Write: func(ctx context.Context, record string) error {
			_, err := store.Put(ctx, "feedback/1", []byte(record), "")
			return err
		},
		Read: func(ctx context.Context) (string, error) {
			e, err := store.Get(ctx, "feedback/1")
			return string(e.Value), err
		},
	}).Check(ctx)
	fmt.Println(res.Status, res.Summary)
	// Output:
	// pass the canary is in none of 1 files
}

// A log without a redactor.
func ExamplePlanted() {
	var log bytes.Buffer
	res := drill.Planted(drill.PlantedOptions{
		Send:   func(_ context.Context, text string) error { log.WriteString(text); return nil },
		Sinks:  map[string]func(context.Context) ([]byte, error){"log": func(context.Context) ([]byte, error) { return log.Bytes(), nil }},
		Settle: time.Millisecond,
	}).Check(context.Background())
	fmt.Println(res.Status, res.Summary)
	// Output:
	// fail planted values are in log (e-mail, phone, card, IBAN, IPv4, IPv6, MAC, SSN, API key, access key, token, password)
}
