package boltstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/boltstore"
)

// What was put is there when the file is opened again, and whoever writes from
// an older state is told so.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "serin")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	ctx, path := context.Background(), filepath.Join(dir, "serin.db")

	store, err := boltstore.Open(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := store.Put(ctx, "rollout/chat", []byte("stage 1"), ""); err != nil {
		fmt.Println(err)
	}
	_, err = boltstore.Open(path)
	fmt.Println("open twice:", errors.Is(err, boltstore.ErrLocked))
	store.Close()

	if store, err = boltstore.Open(path); err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	entry, err := store.Get(ctx, "rollout/chat")
	fmt.Println(string(entry.Value), err)
	_, err = store.Put(ctx, "rollout/chat", []byte("stage 2"), "")
	fmt.Println("create again:", errors.Is(err, rollout.ErrConflict))
	// Output:
	// open twice: true
	// stage 1 <nil>
	// create again: true
}

// A backup is a store file. It goes to a file of its own first, so that one that
// could not be finished never takes the place of the last one.
func ExampleStore_Backup() {
	dir, err := os.MkdirTemp("", "serin")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	ctx, path := context.Background(), filepath.Join(dir, "serin.db")
	store, err := boltstore.Open(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	if _, err := store.Put(ctx, "rollout/chat", []byte("stage 1"), ""); err != nil {
		fmt.Println(err)
	}

	backup := func(to string) error {
		f, err := os.Create(to + ".new")
		if err != nil {
			return err
		}
		if err := errors.Join(store.Backup(ctx, f), f.Sync(), f.Close()); err != nil {
			return err
		}
		return os.Rename(to+".new", to)
	}
	fmt.Println(backup(path + ".bak"))

	copied, err := boltstore.Open(path + ".bak")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer copied.Close()
	entry, err := copied.Get(ctx, "rollout/chat")
	fmt.Println(string(entry.Value), err)
	// Output:
	// <nil>
	// stage 1 <nil>
}
