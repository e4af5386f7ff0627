package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"

	"github.com/serin-go/serin/rollout"
	"github.com/serin-go/serin/rollout/boltstore"
	"github.com/serin-go/serin/rollout/drill"
	"github.com/serin-go/serin/rollout/ledger"
	"github.com/serin-go/serin/rollout/privacy"
	"github.com/serin-go/serin/rollout/sealedstore"
)

// vault is where feedback of users is kept: a sealed store in a file, and fields that are
// sealed by a key of their user.
type vault struct {
	dir      string
	disk     *boltstore.Store
	store    *sealedstore.Store
	keys     *privacy.Keyring
	names    *privacy.Pseudonyms
	people   *privacy.FileKeys
	redactor *privacy.Redactor
	url      string // a copy of the service, whose prompts are redacted
	model    output // what the model of the copy is asked
	log      output
}

// output keeps what is written to it.
type output struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.Write(p)
}

func (o *output) read(context.Context) ([]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return bytes.Clone(o.all.Bytes()), nil
}

// newVault makes new keys. A service reads them from a file or from a KMS. close removes all
// files.
func newVault(ctx context.Context, model http.Handler, broken *fault) (v *vault, close func(), err error) {
	v = &vault{}
	if v.dir, err = os.MkdirTemp("", "governed"); err != nil {
		return nil, nil, err
	}
	close = func() {
		if v.disk != nil {
			_ = v.disk.Close()
		}
		_ = os.RemoveAll(v.dir)
	}
	wrapping, naming := make([]byte, 32), make([]byte, 32)
	_, _ = rand.Read(wrapping)
	_, _ = rand.Read(naming)
	var errs [5]error
	v.disk, errs[0] = boltstore.Open(filepath.Join(v.dir, "feedback.db"))
	v.keys, errs[1] = privacy.NewKeyring(privacy.WrappingKey{ID: "2026-11", Secret: wrapping})
	v.names, errs[2] = privacy.NewPseudonyms(privacy.PseudonymKey{ID: "k1", Secret: naming})
	v.people, errs[3] = privacy.OpenFileKeys(filepath.Join(v.dir, "keys"))
	v.redactor, errs[4] = privacy.NewRedactor(privacy.Config{})
	if err = errors.Join(errs[:]...); err == nil {
		v.store, err = sealedstore.New(ctx, sealedstore.Config{Store: v.disk, Keys: v.keys})
	}
	if err == nil {
		redacted, plain := v.redactor.Handler(v.logged(model), privacy.Both), v.logged(model)
		v.url, err = listen(ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if broken.is("data-protection") {
				plain.ServeHTTP(w, r)
				return
			}
			redacted.ServeHTTP(w, r)
		}), nil)
	}
	if err != nil {
		close()
		return nil, nil, err
	}
	return v, close, nil
}

// logged writes the bodies of requests to the log.
func (v *vault) logged(next http.Handler) http.Handler {
	log := slog.New(slog.NewJSONHandler(&v.log, nil))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		log.Info("asked", "body", string(body))
		_, _ = v.model.Write(body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

// planted are the options of the drill that plants personal data in prompts.
func (v *vault) planted() drill.PlantedOptions {
	return drill.PlantedOptions{
		Send: func(ctx context.Context, text string) error {
			body, err := json.Marshal(map[string]any{"model": "chat", "messages": []map[string]string{{"role": "user", "content": text}}})
			if err != nil {
				return err
			}
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.url+"/v1/chat/completions", bytes.NewReader(body))
			if err != nil {
				return err
			}
			req.Header.Set("Content-Type", "application/json")
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			if _, err := io.Copy(&v.log, resp.Body); err != nil {
				return err
			}
			if resp.StatusCode != http.StatusOK {
				return fmt.Errorf("status %d", resp.StatusCode)
			}
			return nil
		},
		Sinks: map[string]func(context.Context) ([]byte, error){"model": v.model.read, "log": v.log.read},
	}
}

// atRest are the options of the drill that looks for a canary in the raw files.
func (v *vault) atRest() drill.EncryptedOptions {
	const key = "drill/canary"
	return drill.EncryptedOptions{
		Files: func(context.Context) (fs.FS, error) { return os.DirFS(v.dir), nil },
		Write: func(ctx context.Context, record string) error {
			before, err := v.disk.Get(ctx, key)
			if err != nil && !errors.Is(err, rollout.ErrNotFound) {
				return err
			}
			_, err = v.store.Put(ctx, key, []byte(record), before.Revision)
			return err
		},
		Read: func(ctx context.Context) (string, error) {
			e, err := v.store.Get(ctx, key)
			return string(e.Value), err
		},
		Alter: func(ctx context.Context) error {
			e, err := v.disk.Get(ctx, key)
			if err != nil {
				return err
			}
			e.Value[len(e.Value)/2] ^= 1
			_, err = v.disk.Put(ctx, key, e.Value, e.Revision)
			return err
		},
	}
}

// erase keeps a comment of a user, and erases the user. It returns what reading the comment
// gives before and after.
func (v *vault) erase(ctx context.Context, led *ledger.Ledger, user string, by rollout.Actor) (before string, after error, err error) {
	fields, err := privacy.OpenVault(ctx, privacy.VaultConfig{Purpose: "feedback", Keys: v.keys, People: v.people, Pseudonyms: v.names,
		Notes: led.Notebook(by), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return "", nil, err
	}
	sealed, err := fields.Seal(ctx, user, "comment", []byte(v.redactor.Text("The answer to "+user+" was wrong.")))
	if err != nil {
		return "", nil, err
	}
	text, err := fields.Open(ctx, user, "comment", sealed)
	if err != nil {
		return "", nil, err
	}
	if _, err := fields.Erase(ctx, privacy.Erasure{People: []string{user}, By: by.Name, Why: "request T-17"}); err != nil {
		return "", nil, err
	}
	_, after = fields.Open(ctx, user, "comment", sealed)
	if !errors.Is(after, privacy.ErrErased) {
		return "", nil, fmt.Errorf("the comment of an erased user opens: %w", after)
	}
	return string(text), after, nil
}
